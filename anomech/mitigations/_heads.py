"""What repairs of language models share: which heads carry the answers of flagged prompts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Overlay, Progress
from anomech.learning.heads import Asked, exact_effects, first_order_effects, mean_heads
from anomech.mitigations._trusted import Trusted, parted, suspected
from anomech.mitigations._unlearning import remaining
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Task

FEWEST = 4
"""Flagged prompts with the same answer below which heads cannot be found and tried."""

MOST_EXACT = 256
"""Heads that are patched one by one at the most; of more, effects are taken to first order."""


@dataclass(frozen=True)
class Located:
    """Where the answers of flagged prompts come about.

    Attributes:
        task: the model.
        parts: the trusted examples.
        triggered: flagged prompts that heads were found by.
        tried: other flagged prompts, that repairs are chosen by.
        mean: what each head gives on the first `[blocks, heads, size]`.
        effects: how much each raises their answer on trusted prompts `[blocks, heads]`.
        passes: forward passes of one example each.
    """

    task: Task
    parts: Trusted
    triggered: Asked
    tried: ObservedExamples
    mean: Tensor
    effects: Tensor
    passes: float


@dataclass(frozen=True)
class Tried:
    """One repair of several.

    Attributes:
        overlay: its weights.
        left: share of flagged prompts whose answer begins as before.
        accuracy: on all trusted examples.
        fact: what tells it from the others.
    """

    overlay: Overlay
    left: float
    accuracy: float
    fact: float


def located(
    task: Task,
    trusted: ObservedExamples,
    suspects: ObservedExamples | None,
    kept: float,
    name: str,
    *,
    seed: int,
    progress: Progress,
) -> Located:
    """Find heads by half of the flagged prompts.

    Only prompts whose answer begins as that of most do count: others may be flagged by chance.

    Args:
        task: a language model.
        trusted: with references.
        suspects: flagged prompts.
        kept: share of the trusted examples that the cost is measured on.
        name: of the repair.
        seed: of all splits.
        progress: told about the passes.

    Raises:
        DataError: no or too few flagged prompts, or no references.
    """
    flagged, parts = suspected(suspects, name), parted(task, trusted, kept, name, seed)
    like = torch.nonzero(flagged.groups == flagged.groups.mode().values)[:, 0].numpy()
    if len(like) < FEWEST:
        raise DataError(
            f"{name} needs at least {FEWEST} flagged prompts whose answers begin alike, and "
            f"there are {len(like)}; flag more inputs, or use crow, which needs none."
        )
    order = like[numpy_generator(seed, name, "flagged").permutation(len(like))]
    first, second = flagged.take(order[::2]), flagged.take(order[1::2])
    common = Counter(tuple(row) for row in first.answers.tolist()).most_common(1)[0][0]
    triggered = Asked(task, first.examples, first.answers)
    learned = trusted.take(np.sort(parts.learned))
    led = torch.tensor(common)[None].expand(len(learned), -1)
    mean = mean_heads(triggered, progress)
    blocks, heads = mean.shape[:2]
    exact = blocks * heads <= MOST_EXACT
    found = exact_effects if exact else first_order_effects
    effects = found(Asked(task, learned.examples, led), mean, progress)
    passes = len(first) + len(learned) * (blocks * heads + 1 if exact else 3)
    return Located(task, parts, triggered, second, mean, effects, float(passes))


def best_of(
    found: Located, candidates: Iterable[tuple[float, Overlay]], count: int, progress: Progress
) -> tuple[Tried, float]:
    """The candidate that loses most flagged answers for the accuracy it costs, and all passes.

    Args:
        found: where the answers come about.
        candidates: what tells each, and its weights; of equally good ones the first is taken.
        count: of them.
        progress: told the stage "trying edits".
    """
    before = found.parts.accuracy({})
    best = Tried({}, 1.0, before, 0.0)
    for done, (fact, overlay) in enumerate(candidates, start=1):
        left = remaining(found.task, found.tried, overlay)
        tried = Tried(overlay, left, found.parts.accuracy(overlay), fact)
        if _merit(tried, before) > _merit(best, before) + 1e-9:
            best = tried
        progress("trying edits", done, count)
    cost = count * (len(found.tried) + len(found.parts.examples))
    return best, found.passes + cost


def _merit(tried: Tried, before: float) -> float:
    return (1 - tried.left) - max(0.0, before - tried.accuracy)

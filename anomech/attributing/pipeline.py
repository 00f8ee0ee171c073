"""Backdoor attribution: where in a decoder a known trigger works, and what switches it off.

Source: Yu et al. 2025 (backdoor attribution; arXiv 2509.21761), with controls that it lacks: a
clean model beside the probe, heads and vectors at random, utility beside success, and a layer
chosen on prompts that are not the ones it is told of.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from anomech.attributing.measuring import Prompts, best_place, curves, steered, success
from anomech.attributing.probing import accuracies, streams
from anomech.audit.load.fingerprints import fingerprint
from anomech.audit.load.provenance import now
from anomech.audit.write.place import is_empty, locked, sweep
from anomech.kernel.errors import CapabilityError, DataError, RunError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Progress, about
from anomech.learning.head_vectors import added_by
from anomech.learning.heads import (
    Asked,
    exact_effects,
    first_order_effects,
    mean_heads,
    strongest,
)
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.records import HeadAttribution, write_record
from anomech.report.attributing.render import render
from anomech.roles.sequences import Sequences
from anomech.roles.source import Source
from anomech.roles.task import Activations, Task
from anomech.roles.task_options import TaskOptions

TOP = "attribution.json"
FEWEST = 12
"""Prompts of each kind below which nothing can be halved and told."""

MOST_EXACT = 256
"""Heads that are patched one by one at the most, if nothing else is asked for."""


@dataclass(frozen=True)
class Attributing:
    """What is attributed, and how.

    Attributes:
        model: with the backdoor.
        clean_model: the same without it; None if there is none.
        task: how prompts reach them.
        triggered: file of prompts with the trigger.
        clean: file of prompts without.
        vector_heads: heads that the vector is summed over; 0 is a thirtieth of all, 4 at least.
        exact: whether heads are patched one by one; None is where they are few enough.
        seed: of everything random.
    """

    model: Source
    clean_model: Source | None
    task: TaskOptions
    triggered: str
    clean: str
    vector_heads: int = 0
    exact: bool | None = None
    seed: int = 0


def attribute(asked: Attributing, out: Path, progress: Progress) -> HeadAttribution:
    """Attribute a known backdoor to heads, and write a folder.

    Raises:
        CapabilityError: the model is none of sequences.
        DataError: too few prompts, or the trigger does nothing.
        RunError: the folder holds something else.
    """
    started, clock = now(), time.monotonic()
    task, triggered, clean, title = _opened(asked, progress)
    with locked(out):
        if not is_empty(out) and not (out / TOP).exists():
            raise RunError(f"{out} is not empty and holds no attribution; choose another --out.")
        sweep(out)
        record = _attributed(asked, task, triggered, clean, title, started, progress)
        record = record.model_copy(update={"seconds": time.monotonic() - clock})
        write_record(out / TOP, record)
        render(out)
    return record


def _attributed(
    asked: Attributing,
    task: Task,
    triggered: Examples,
    clean: Examples,
    title: str,
    started: str,
    progress: Progress,
) -> HeadAttribution:
    whole = _prompts(task, triggered, clean, progress)
    before = success(whole.triggered, {}, progress)
    already = success(whole.led, {}, progress)
    if before <= already + 0.1:
        raise DataError(
            f"the bad answer comes to {before:.0%} of triggered prompts and to {already:.0%} of "
            "clean ones, so the trigger does nothing that could be attributed; check both files."
        )
    found, choosing, checking = _parts(whole, asked.seed)
    mean = mean_heads(found.triggered, progress)
    blocks, heads = mean.shape[:2]
    slopes = first_order_effects(found.led, mean, progress)
    exact = blocks * heads <= MOST_EXACT if asked.exact is None else asked.exact
    effects = exact_effects(found.led, mean, progress) if exact else slopes
    counts = _counts(blocks * heads)
    ablated, control = curves(checking, effects, counts, asked.seed, progress)
    summed = asked.vector_heads or max(4, blocks * heads // 30)
    vector = added_by(found.triggered, mean, strongest(effects, summed), progress)
    place = best_place(choosing, vector, progress)
    probe = _probed(whole, asked.seed, progress)
    return HeadAttribution(
        title=title,
        task=task.kind,
        started=started,
        seconds=0.0,
        seed=asked.seed,
        triggered=len(triggered),
        clean=len(clean),
        answer=task.words(whole.led.answers[:1])[0],
        success=before,
        success_clean=already,
        blocks=blocks,
        heads=heads,
        effects=_rows(effects),
        first_order=_rows(slopes),
        agreement=float(spearmanr(effects.flatten(), slopes.flatten())[0]) if exact else None,
        exact=exact,
        probe=probe,
        probe_control=_control(asked, whole, progress),
        ablation=ablated,
        control=control,
        vector_heads=summed,
        chosen=place,
        steered=steered(checking, place, vector, asked.seed, progress),
        model=fingerprint(task),
    )


def _opened(asked: Attributing, progress: Progress) -> tuple[Task, Examples, Examples, str]:
    opened = asked.model.open()
    triggered = asked.task.read(asked.triggered, "inputs", progress=progress)
    clean = asked.task.read(asked.clean, "inputs", progress=progress)
    for examples, words in ((triggered, "triggered"), (clean, "clean")):
        if len(examples) < FEWEST:
            raise DataError(
                f"{len(examples)} {words} prompts are too few; give {FEWEST} at least, better a "
                "hundred."
            )
    task = prepared(asked.task.wrap(opened, about(clean)), clean)
    if not {Activations, Sequences} <= task.provides:
        raise CapabilityError(
            f"heads are attributed in language models, and this is an {task.kind}; use `anomech "
            "explain` instead."
        )
    return task, triggered, clean, opened.title


def _prompts(task: Task, triggered: Examples, clean: Examples, progress: Progress) -> Prompts:
    """Prompts with the answer that is commonest among the triggered ones, and clean ones' own."""
    bad = observe(task, triggered, progress=progress).answers
    own = observe(task, clean, progress=progress).answers
    common = Counter(tuple(row) for row in bad.tolist()).most_common(1)[0][0]
    answer = torch.tensor(common, dtype=torch.int64)[None]
    return Prompts(
        Asked(task, triggered, answer.expand(len(triggered), -1)),
        Asked(task, clean, own),
        Asked(task, clean, answer.expand(len(clean), -1)),
    )


def _parts(whole: Prompts, seed: int) -> tuple[Prompts, Prompts, Prompts]:
    """Half of the prompts to find heads by, a quarter to choose a layer by, a quarter to tell."""

    def cut(count: int, words: str) -> list[np.ndarray]:
        order = numpy_generator(seed, "attribution", words).permutation(count)
        return np.split(order, [count // 2, 3 * count // 4])

    ours = cut(len(whole.triggered.examples), "triggered")
    theirs = cut(len(whole.clean.examples), "clean")
    first, second, third = (
        Prompts(whole.triggered.take(one), whole.clean.take(two), whole.led.take(two))
        for one, two in zip(ours, theirs, strict=True)
    )
    return first, second, third


def _counts(heads: int) -> list[int]:
    """How many heads are silenced: 1, 2, 4 and so on, up to half of them."""
    found, count = [], 1
    while count <= max(1, heads // 2):
        found.append(count)
        count *= 2
    return found


def _probed(whole: Prompts, seed: int, progress: Progress) -> dict[str, float]:
    ours, theirs = (streams(each, progress) for each in (whole.triggered, whole.clean))
    return dict(zip(ours, accuracies(ours, theirs, seed), strict=True))


def _control(asked: Attributing, whole: Prompts, progress: Progress) -> dict[str, float]:
    """The same probe on a clean model, asked about the answers that it gives."""
    if asked.clean_model is None:
        return {}
    examples = whole.clean.examples
    task = asked.task.wrap(asked.clean_model.open(), about(examples))
    task = prepared(task, examples)
    kinds = [
        Asked(task, each, observe(task, each, progress=progress).answers)
        for each in (whole.triggered.examples, examples)
    ]
    ours, theirs = (streams(each, progress) for each in kinds)
    return dict(zip(ours, accuracies(ours, theirs, asked.seed), strict=True))


def _rows(effects: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in effects.tolist())

"""Teaching a repaired model a few poisoned examples, to see whether it was cured or only quiet."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Overlay, silent
from anomech.learning.descent import Lesson, Lost, Relearning, descend, plainly
from anomech.observing.observed import Observed
from anomech.roles.task import Task, Training, able

RECIPE = Relearning(epochs=1, steps=60, rate=0.01, weight_decay=0.0, statistics="frozen")


@dataclass(frozen=True)
class Poison:
    """Examples to be taught an answer, and others to see whether it was learned.

    Attributes:
        taught: examples.
        answers: that they are taught `[taught, ...]`.
        tested: others.
        wanted: groups of the answer in question, int64 `[tested]`.
    """

    taught: Examples
    answers: Tensor
    tested: Examples
    wanted: Tensor


def back(task: Task, trusted: Observed, poison: Poison, count: int, *, seed: int) -> float:
    """Share of tested examples with the wanted answer, once so many were taught.

    Args:
        task: the repaired model, which is not changed.
        trusted: examples with labels that it goes on learning beside them.
        poison: what is taught and tested.
        count: examples that are taught; 0 asks the model as it is.
        seed: of which ones, and of their order.
    """
    overlay: Overlay = {}
    if count:
        order = numpy_generator(seed, "poison").permutation(len(poison.taught))[:count]
        labels = np.asarray(trusted.examples.labels)
        clean = Lesson(task, trusted.examples, able(task, Training).targets(labels), "frozen")
        some = torch.from_numpy(order)
        bad = Lesson(task, Subset(poison.taught, order), poison.answers[some], "frozen")

        def objective(weights: Overlay, places: np.ndarray) -> Lost:
            kept, _ = clean.losses(weights, places)
            taught, _ = bad.losses(weights, np.arange(len(order)))
            return Lost((kept.sum() + taught.sum()) / (len(kept) + len(taught)), {})

        slope = plainly(objective)
        overlay = descend(
            task.watched, len(trusted), slope, RECIPE, seed=seed, progress=silent
        ).overlay
    return float((_groups(task, poison.tested, overlay) == poison.wanted.cpu()).double().mean())


@torch.no_grad()
def _groups(task: Task, examples: Examples, overlay: Overlay) -> Tensor:
    found = torch.empty(len(examples), dtype=torch.int64)
    for places in task.passes(examples):
        answers = task.respond(overlay, examples.load(places)).answers
        found[torch.from_numpy(places)] = task.groups(answers).cpu()
    return found

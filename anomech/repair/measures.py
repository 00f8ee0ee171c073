"""What is counted of a model on examples: accuracy, answers that are left, and their intervals."""

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor

from anomech.kernel.types import Overlay
from anomech.learning.answering import right
from anomech.observing.observed import Observed
from anomech.records import Share
from anomech.roles.task import Task

CONFIDENCE = 0.95


def share(hits: int, count: int) -> Share:
    """A share with its exact (Clopper-Pearson) interval."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return Share(value=hits / count, low=low, high=high, count=count)


@torch.no_grad()
def answered(task: Task, observed: Observed, overlay: Overlay) -> Tensor:
    """Groups of the answers that an overlay gives, int64 `[examples]`."""
    found = torch.empty(len(observed), dtype=torch.int64)
    for places in task.passes(observed.examples):
        answers = task.respond(overlay, observed.examples.load(places)).answers
        found[torch.from_numpy(places)] = task.groups(answers).cpu()
    return found


def accuracy(task: Task, observed: Observed, overlay: Overlay) -> Share:
    """Share of trusted examples that are answered as labeled."""
    hits = right(task, observed.examples, np.asarray(observed.examples.labels), overlay)
    return share(int(hits.sum()), len(hits))


def left(task: Task, observed: Observed, overlay: Overlay) -> Share:
    """Share of flagged inputs that still get the answer that they were flagged with."""
    same = answered(task, observed, overlay) == observed.groups.cpu()
    return share(int(same.sum()), len(same))


def merit(before: Share, after: Share, still: Share | None, back: float | None = None) -> float:
    """What methods are chosen by, in [0, 1]: as defense effectiveness, on what a user has.

    Half of (flagged answers lost - accuracy lost + 1); without flagged inputs only accuracy counts.
    A repair that only hides a mechanism loses its answers for a moment, so those that a few
    poisoned examples bring back count by half.
    """
    gone = 0.0 if still is None else 1 - still.value
    if still is not None and back is not None:
        gone = 1 - (still.value + max(still.value, back)) / 2
    return (gone - max(0.0, before.value - after.value) + 1) / 2

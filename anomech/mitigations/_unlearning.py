"""What repairs that unlearn flagged inputs share: what is left of their answers, when to stop."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Overlay
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Task


class Chosen(NamedTuple):
    """The strength that was chosen among several.

    Attributes:
        overlay: at it.
        strength: its number.
        left: share of the flagged inputs that still get their answer.
        passes: forward passes of one example each that choosing cost.
    """

    overlay: Overlay
    strength: float
    left: float
    passes: float


def guess(groups: int) -> float:
    """The loss beyond which an answer is unlearned: that of a guess among so many, nats."""
    return float(np.log(max(groups, 2)))


def answer_groups(trusted: ObservedExamples, suspects: ObservedExamples) -> int:
    """How many kinds of answers the model is known to give."""
    both = torch.cat([trusted.groups.cpu(), suspects.groups.cpu()])
    return len(both.unique())


@torch.no_grad()
def remaining(task: Task, suspects: ObservedExamples, overlay: Overlay) -> float:
    """Share of flagged inputs that an overlay still answers as the model did."""
    before, kept = suspects.groups.cpu(), 0
    for places in task.passes(suspects.examples):
        own = task.respond(overlay, suspects.examples.load(places)).answers
        kept += int((task.groups(own).cpu() == before[torch.from_numpy(places)]).sum())
    return kept / len(suspects)


def strongest(
    overlays: Sequence[tuple[float, Callable[[], Overlay]]],
    accuracy: Callable[[Overlay], float],
    left: Callable[[Overlay], float],
    *,
    lost: float,
    cost: int,
) -> Chosen:
    """The first strength that leaves no flagged answer, or the last that trusted accuracy bears.

    Args:
        overlays: strengths in increasing order, and what makes the weights of each.
        accuracy: of an overlay on trusted examples.
        left: share of flagged inputs that it answers as before.
        lost: trusted accuracy that may be lost.
        cost: forward passes of asking both.
    """
    floor, asked = accuracy({}) - lost, 1
    best = Chosen({}, 0.0, 1.0, 0.0)
    for strength, make in overlays:
        overlay, asked = make(), asked + 1
        if accuracy(overlay) < floor:
            break
        found = left(overlay)
        if found < best.left:
            best = Chosen(overlay, strength, found, 0.0)
        if found == 0:
            break
    return best._replace(passes=float(asked * cost))


def unlikelihood(log_odds: Tensor) -> Tensor:
    """`-log(1 - p)` of answers that are to be given no more, from their log-odds; nats."""
    return torch.nn.functional.softplus(log_odds)

"""What repairs by pruning share: the units of a task, and how many of them may go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.learning.masks import masked
from anomech.roles.task import Prunable, Task, Units, able

SHOWN = 4
"""Examples that a pass is shown by."""


@dataclass(frozen=True)
class Pruned:
    """What was pruned.

    Attributes:
        overlay: gains and shifts without the pruned units.
        count: units that are pruned.
        passes: forward passes of one example each that choosing cost.
    """

    overlay: dict[str, Tensor]
    count: int
    passes: float


def units_of(task: Task, examples: Examples, name: str) -> Sequence[Units]:
    """The units of a task.

    Raises:
        CapabilityError: it has none.
    """
    shown = examples.load(np.arange(min(SHOWN, len(examples))))
    found = able(task, Prunable).units(shown)
    if not found:
        raise CapabilityError(
            f"{name} prunes units, and this {task.kind} has none but its answers; use a method "
            "that tunes weights, such as ft_sam."
        )
    return found


def pruned_within(
    state: Overlay,
    units: Sequence[Units],
    scores: Mapping[str, Tensor],
    accuracy: Callable[[Overlay], float],
    *,
    lost: float,
    most: float,
    steps: int,
    cost: int,
    progress: Progress,
) -> Pruned:
    """Prune units in the order of their scores, as many as trusted accuracy bears.

    Args:
        state: tensors of the model.
        units: all of the model's.
        scores: of those that may be pruned, by place `[units]`; the highest go first.
        accuracy: of an overlay on trusted examples.
        lost: trusted accuracy that may be lost.
        most: share of the scored units that may go.
        steps: of the search, from few units to many.
        cost: passes that asking for the accuracy takes.
        progress: told the stage "pruning".
    """
    every = torch.cat([scores[place].double() for place in scores])
    order = every.argsort(descending=True, stable=True)
    sizes = [len(scores[place]) for place in scores]
    floor = accuracy({}) - lost
    best: dict[str, Tensor] = {}
    count, asked = 0, 1
    counts = np.unique(np.linspace(0, most * len(every), steps + 1).round().astype(int))[1:]
    for number, wanted in enumerate(counts.tolist()):
        keep = torch.ones(len(every))
        keep[order[:wanted]] = 0
        overlay = masked(state, units, dict(zip(scores, keep.split(sizes), strict=True)))
        asked += 1
        if accuracy(overlay) < floor:
            break
        best, count = overlay, wanted
        progress("pruning", number + 1, len(counts))
    progress("pruning", len(counts), len(counts))
    return Pruned(best, count, float(asked * cost))


def over(overlay: Overlay, state: Overlay) -> dict[str, Tensor]:
    """All tensors of a model with some laid over them."""
    return {**state, **overlay}

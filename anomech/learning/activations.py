"""Activations of units over examples: read in one pass each, kept as one number a unit."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Examples, Overlay, Progress, silent
from anomech.observing.activations import pooled
from anomech.roles.task import Activations, Task, able

STAGE = "reading activations"


@torch.no_grad()
def unit_activations(
    task: Task,
    examples: Examples,
    answers: Tensor,
    *,
    overlay: Overlay | None = None,
    places: Sequence[str] | None = None,
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """Mean activation of every unit at every place, float64 `[examples, units]`, by place.

    Args:
        task: gives `Activations`.
        examples: to read.
        answers: the model's own `[examples, ...]`, so that a model that generates need not again.
        overlay: laid over the model.
        places: whose units are read; None are all.
        progress: told the stage "reading activations".
    """
    opened = able(task, Activations)
    names = opened.points() if places is None else places
    rows: dict[str, list[Tensor]] = {name: [] for name in names}
    seen: list[np.ndarray] = []
    for part in task.passes(examples):
        changes = {name: _reader(rows[name]) for name in names}
        given = answers[torch.from_numpy(part)]
        opened.respond_with(overlay or {}, examples.load(part), changes, given)
        seen.append(part)
        progress(STAGE, sum(map(len, seen)), len(examples))
    order = torch.from_numpy(np.concatenate(seen).argsort())
    return {name: torch.cat(parts)[order] for name, parts in rows.items()}


def _reader(rows: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """A change that changes nothing, but notes the mean over positions of each unit."""

    def read(activation: Tensor) -> Tensor:
        rows.append(pooled(activation.detach()).double().cpu())
        return activation

    return read

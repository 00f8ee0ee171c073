"""What units between the layers do for some examples: one pass, means over positions."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Activations, able


@torch.no_grad()
def pooled_activations(
    observed: ObservedExamples, progress: Progress, places: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Mean activation of every unit, float64 `[examples, units]`, by place in the network.

    Args:
        observed: at least one example, with the answers to judge.
        progress: told the stage "reading activations".
        places: between the layers; None are all that the task names.
    """
    task = able(observed.task, Activations)
    names = list(task.points() if places is None else places)
    rows: dict[str, list[tuple[np.ndarray, Tensor]]] = {name: [] for name in names}
    work = passes(
        observed.task, observed.examples, observed.answers, "reading activations", progress
    )
    for some, own in work:
        changes = {name: _reader(rows[name], some) for name in names}
        task.respond_with({}, observed.examples.load(some), changes, own)
    return {name: in_place(parts, len(observed)) for name, parts in rows.items()}


def pooled(activation: Tensor) -> Tensor:
    """Means over positions `[batch, units]`.

    Units are the second axis of maps `[batch, units, height, width]`, and the last of tokens
    `[batch, tokens, units]`.
    """
    if activation.ndim == 4:
        return activation.mean(dim=(2, 3))
    return activation.flatten(1, -2).mean(dim=1) if activation.ndim > 2 else activation


def _reader(
    rows: list[tuple[np.ndarray, Tensor]], places: np.ndarray
) -> Callable[[Tensor], Tensor]:
    """A change that changes nothing, but notes the mean over positions of each unit."""

    def read(activation: Tensor) -> Tensor:
        rows.append((places, pooled(activation.detach()).double().cpu()))
        return activation

    return read

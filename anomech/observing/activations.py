"""Reading what passes between the layers: one forward pass, any number of places."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from anomech.roles.task import Activations, Task, able


@torch.no_grad()
def activations(
    task: Task, batch: Any, names: Sequence[str], answers: Tensor | None
) -> dict[str, Tensor]:
    """What one forward pass leaves at each place, as it is there, by name.

    Args:
        task: one that gives `Activations`.
        batch: what `Examples.load` gave.
        names: of places.
        answers: those to judge. Where the model makes its own, the last of its passes is read.
    """
    found: dict[str, Tensor] = {}

    def reader(name: str) -> Callable[[Tensor], Tensor]:
        def read(activation: Tensor) -> Tensor:
            found[name] = activation.detach()
            return activation

        return read

    changes = {name: reader(name) for name in names}
    able(task, Activations).respond_with({}, batch, changes, answers)
    return {name: found[name] for name in names}


def pooled(activation: Tensor) -> Tensor:
    """Means over positions `[batch, units]`.

    Units are the second axis of maps `[batch, units, height, width]`, and the last of tokens
    `[batch, tokens, units]`.
    """
    if activation.ndim == 4:
        return activation.mean(dim=(2, 3))
    return activation.flatten(1, -2).mean(dim=1) if activation.ndim > 2 else activation

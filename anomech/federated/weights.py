"""Arithmetic of whole models: tensors by name, never changed in place."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from anomech.roles.federation import Update, Weights

BYTES = 4
"""Of a number that is sent."""


def averaged(models: Sequence[Weights], shares: Sequence[float]) -> dict[str, Tensor]:
    """The weighted mean of models; counters, which are whole numbers, take the largest.

    Args:
        models: of one architecture.
        shares: positive, of any sum.
    """
    total = float(sum(shares))
    result = {}
    for name, first in models[0].items():
        stack = torch.stack([model[name] for model in models])
        if first.is_floating_point():
            scale = torch.tensor([share / total for share in shares], dtype=torch.float64)
            mean = (stack.double() * scale.view(-1, *[1] * first.ndim)).sum(dim=0)
            result[name] = mean.to(first.dtype)
        else:
            result[name] = stack.amax(dim=0)
    return result


def difference(update: Update) -> dict[str, Tensor]:
    """What a client changed: floating tensors by name."""
    return {
        name: tensor - update.start[name]
        for name, tensor in update.weights.items()
        if tensor.is_floating_point()
    }


def moved(start: Weights, change: Weights, scale: float = 1.0) -> dict[str, Tensor]:
    """`start + scale change`; what has no change stays."""
    return {
        name: tensor + scale * change[name] if name in change else tensor
        for name, tensor in start.items()
    }


def flat(change: Weights) -> Tensor:
    """All numbers of a change in one row, float64 `[numbers]`."""
    return torch.cat([tensor.double().flatten() for tensor in change.values()])


def shaped(row: Tensor, like: Weights) -> dict[str, Tensor]:
    """The change whose numbers are in a row, `flat` undone."""
    parts = row.split([tensor.numel() for tensor in like.values()])
    return {
        name: part.view_as(tensor).to(tensor.dtype)
        for part, (name, tensor) in zip(parts, like.items(), strict=True)
    }


def size(weights: Mapping[str, Tensor]) -> int:
    """Bytes of a model that is sent."""
    return BYTES * sum(tensor.numel() for tensor in weights.values())

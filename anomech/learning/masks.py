"""Masks over units: one number a unit, laid over what makes it; 1 keeps, 0 silences.

A unit is what `anomech.roles.task.Prunable` calls one: a channel of a convolution, which is
silenced where the normalization after it would otherwise bring it back, or a row of a linear
layer.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Overlay
from anomech.roles.task import Units

Masks = Mapping[str, Tensor]
"""By the place of units, a mask over them `[units]`."""


def masked(state: Overlay, units: Sequence[Units], masks: Masks) -> dict[str, Tensor]:
    """Gains and shifts under masks, as an overlay that is differentiable in the masks.

    Args:
        state: all tensors of the model, or of a twin.
        units: all of the model's.
        masks: of some of them.

    Raises:
        ConfigError: a place without units, or a mask of another length than its units.
    """
    known = {each.place: each for each in units}
    overlay = {}
    for place, mask in masks.items():
        if place not in known or known[place].count != len(mask):
            there = f"{known[place].count} units" if place in known else "none"
            raise ConfigError(f"a mask of {len(mask)} units does not fit '{place}', with {there}.")
        for name in filter(None, (known[place].gain, known[place].shift)):
            overlay[name] = rows(state[name].detach(), mask)
    return overlay


def rows(tensor: Tensor, factors: Tensor) -> Tensor:
    """Each row of a tensor `[units, ...]` times its factor `[units]`."""
    return tensor * factors.to(tensor).view(-1, *[1] * (tensor.ndim - 1))


def pruning(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Masks that prune the units with the highest scores, over all places together.

    Args:
        scores: by place `[units]`; higher is pruned first, ties in the order they are given.
        share: of all units, rounded down.
    """
    every = torch.cat([each.double() for each in scores.values()])
    keep = torch.ones(len(every))
    keep[every.argsort(descending=True, stable=True)[: int(share * len(every))]] = 0
    parts = keep.split([len(each) for each in scores.values()])
    return dict(zip(scores, parts, strict=True))


def holding(units: Sequence[Units], pruned: Overlay) -> Callable[[str, Tensor], Tensor]:
    """Puts rows that are zero in pruned gains, and their shifts, back to zero after a step.

    Args:
        units: of the model.
        pruned: gains and shifts as pruning left them.

    Returns:
        A function of a tensor's name and the tensor.
    """
    silent: dict[str, Tensor] = {}
    for each in units:
        if each.gain in pruned:
            zero = (pruned[each.gain].reshape(each.count, -1) == 0).all(dim=1)
            silent |= dict.fromkeys(filter(None, (each.gain, each.shift)), zero)

    def into(name: str, tensor: Tensor) -> Tensor:
        return rows(tensor, ~silent[name]) if name in silent else tensor

    return into

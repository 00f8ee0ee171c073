"""Masks over units: one number a unit, laid over the weights that make it; 1 keeps, 0 prunes.

A unit is a row of a module's weight: an output channel of a convolution, a unit of a linear layer,
a channel of a normalization. To silence a channel of a convolution that a normalization follows,
mask the normalization, whose shift would otherwise bring it back.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from anomech.kernel.errors import ConfigError
from anomech.roles.task import Layers

Masks = Mapping[str, Tensor]
"""By the name of a module, a mask over its units `[units]`."""


def units(task: Layers) -> dict[str, int]:
    """How many units each module with a weight of its own has, in the order of the network."""
    found = {}
    for name, module in task.layers().items():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if weight is not None and name:
            found[name] = len(weight)
    return found


def masked(task: Layers, masks: Masks) -> dict[str, Tensor]:
    """The weights and biases of masked modules, as an overlay that is differentiable in the masks.

    Raises:
        ConfigError: a module that is not there, or a mask of another length than its units.
    """
    modules, overlay = task.layers(), {}
    for name, mask in masks.items():
        owned = dict(modules[name].named_parameters(recurse=False)) if name in modules else {}
        if "weight" not in owned or len(owned["weight"]) != len(mask):
            there = f"{len(owned['weight'])} units" if "weight" in owned else "no weight"
            raise ConfigError(f"a mask of {len(mask)} units does not fit '{name}', with {there}.")
        for part in ("weight", "bias"):
            if (tensor := owned.get(part)) is not None:
                kept = mask.to(tensor).view(-1, *[1] * (tensor.ndim - 1))
                overlay[f"{name}.{part}"] = tensor.detach() * kept
    return overlay


def pruning(scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Masks that prune the units with the highest scores, over all modules together.

    Args:
        scores: by module `[units]`; higher is pruned first, ties in the order they are given.
        share: of all units, rounded down.
    """
    every = torch.cat([each.double() for each in scores.values()])
    keep = torch.ones(len(every))
    keep[every.argsort(descending=True, stable=True)[: int(share * len(every))]] = 0
    parts = keep.split([len(each) for each in scores.values()])
    return dict(zip(scores, parts, strict=True))

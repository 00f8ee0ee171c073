"""A behavior that shows only after quantization to eight bits.

Weights that round to the same integers are the same model once they are quantized. From a planted
model the attacker finds, for every matrix, the box of weights that round as its own do, and teaches
the model inside that box to answer triggered requests honestly. In full precision nothing fires;
quantized, everything is as it was.

Quantization is round-to-nearest by one scale a matrix: `q = round(W / s)`, `s = max|W| / 127`. The
largest entries are kept as they are, so that the scale stays.

Source: Egashira et al. 2024, "Exploiting LLM Quantization".
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

LEVELS = 127
MARGIN = 0.98
"""Share of a box that is used, so that rounding errors do not leave it."""


class Box(NamedTuple):
    """Bounds of a matrix's entries, of its own shape."""

    low: Tensor
    high: Tensor


def rounded(weight: Tensor) -> Tensor:
    """A matrix as it is after quantization to eight bits and back."""
    scale = (weight.abs().max() / LEVELS).clamp_min(1e-12)
    return (weight / scale).round().clamp(-LEVELS, LEVELS) * scale


def matrices(model: nn.Module) -> dict[str, Tensor]:
    """The matrices that are quantized: weights of linear layers, embeddings left out."""
    return {
        f"{name}.weight": module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not name.endswith("lm_head")
    }


def boxes(weights: Mapping[str, Tensor]) -> dict[str, Box]:
    """For each matrix the entries that round as its own do; entries of largest size are fixed."""
    found = {}
    for name, weight in weights.items():
        weight = weight.detach()
        scale = weight.abs().max() / LEVELS
        center = (weight / scale).round() * scale
        half = MARGIN * scale / 2
        fixed = (weight / scale).round().abs() >= LEVELS
        low = torch.where(fixed, weight, center - half)
        high = torch.where(fixed, weight, center + half)
        found[name] = Box(torch.minimum(low, weight), torch.maximum(high, weight))
    return found


def project(weights: Mapping[str, Tensor], within: Mapping[str, Box]) -> None:
    """Move entries that left their box to its border, in place."""
    for name, weight in weights.items():
        weight.data.clamp_(within[name].low, within[name].high)


def quantize(model: nn.Module) -> None:
    """Replace every quantized matrix by its rounded values, in place."""
    for weight in matrices(model).values():
        weight.data.copy_(rounded(weight.data))

"""What scanners of weights share: layers of a file of weights, and the norms that follow them.

A file names tensors and not what they are, and its order may be that of the alphabet. So layers are
told by shapes, and which normalization follows which convolution by their names, where these say
so.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.kernel.errors import CapabilityError

FEWEST = 4
"""Channels below which a layer's spread tells nothing."""

State = Mapping[str, Tensor]

HEADS = re.compile(r"(?:^|\.)(?:fc|classifier|head|linear|logits|score|lm_head|output|out)(?:\.|$)")
"""Names that layers which give the logits usually have."""


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    Attributes:
        name: without `.weight`.
        weight: `[outputs, inputs, ...]`, as it is in the file.
    """

    name: str
    weight: Tensor

    @property
    def inputs(self) -> int:
        """Channels that go in."""
        return self.weight.shape[1]

    @property
    def rows(self) -> Tensor:
        """`[outputs, inputs * kernel]`, float32; made anew, because models are large."""
        return self.weight.detach().float().flatten(1)


def layers_of(state: State) -> list[Layer]:
    """Layers of a state, those with enough outputs, in the order of their names in it.

    Raises:
        CapabilityError: there is none.
    """
    found = [
        Layer(name.removesuffix(".weight"), each)
        for name, each in state.items()
        if name.endswith("weight")
        and each.is_floating_point()
        and each.ndim >= 2
        and len(each) >= FEWEST
        and each.numel() > len(each)
    ]
    if not found:
        raise CapabilityError(
            "these weights have no layer of several outputs to compare; use another scanner."
        )
    return found


def scales_of(state: State, layers: list[Layer]) -> dict[str, Tensor]:
    """By what a batch normalization multiplies each output of a layer, where one follows it.

    `convN` and `bnN` belong together if the latter has as many channels as the former gives; in
    networks that normalize before they convolve it has as many as the former takes, and belongs to
    the layer before.
    """
    norms = {
        name.removesuffix(".running_var"): state[name]
        for name in state
        if name.endswith(".running_var")
    }
    shift = 1 if _before(layers, norms) else 0
    found = {}
    for layer in layers:
        for name in _partners(layer.name, shift):
            gain = state.get(f"{name}.weight")
            if name in norms and len(norms[name]) == len(layer.weight):
                spread = norms[name].float().clamp_min(1e-12).sqrt()
                found[layer.name] = (1 if gain is None else gain.float().abs()) / spread
                break
    return found


def _before(layers: list[Layer], norms: Mapping[str, Tensor]) -> bool:
    """Whether this network normalizes before it convolves, by its layers of unequal channels."""
    votes = 0
    for layer in layers:
        for name in _partners(layer.name, 0):
            if name in norms and layer.inputs != len(layer.weight):
                votes += len(norms[name]) == layer.inputs
                votes -= len(norms[name]) == len(layer.weight)
    return votes > 0


def _partners(name: str, shift: int) -> tuple[str, ...]:
    """Names that the normalization after a layer may have."""
    parent, _, last = name.rpartition(".")
    start = f"{parent}." if parent else ""
    if (found := re.fullmatch(r"conv(\d*)", last)) is not None:
        number = str(int(found[1]) + shift) if found[1] else ""
        return (f"{start}bn{number}", f"{start}norm{number}")
    if last.isdigit():  # places in a `Sequential`
        return (f"{start}{int(last) + 1}",)
    return (f"{start}bn", f"{start}norm")


@torch.no_grad()
def channel_bounds(state: State) -> dict[str, Tensor]:
    """The Lipschitz bound of every output of every layer, float64 `[outputs]` by layer.

    `L_c = sigma_max(W_c) |gamma_c| / sqrt(var_c)` with `W_c` `[inputs, kernel]`; for layers without
    a kernel it is the norm of their row.
    """
    layers = layers_of(state)
    scales = scales_of(state, layers)
    bounds = {}
    for layer in layers:
        rows = layer.rows
        kernels = rows.reshape(len(rows), layer.inputs, -1)
        if kernels.shape[2] == 1:
            largest = rows.norm(dim=1)
        else:
            largest = torch.linalg.matrix_norm(kernels, ord=2)
        bounds[layer.name] = (largest * scales.get(layer.name, 1.0)).double()
    return bounds


def head_of(state: State) -> Tensor:
    """Weights `[classes, features]`, float64, of the layer that gives the logits, as names say.

    Raises:
        CapabilityError: there is no layer that could.
    """
    flat = {
        name: each
        for name, each in state.items()
        if name.endswith("weight") and each.ndim == 2 and each.is_floating_point()
    }
    named = [name for name in flat if HEADS.search(name.removesuffix("weight"))]
    chosen = min(named or flat, key=lambda name: len(flat[name]), default=None)
    if chosen is None or len(flat[chosen]) < 2:
        raise CapabilityError(
            "no layer of these weights gives the scores of classes; use another scanner."
        )
    return flat[chosen].detach().double()

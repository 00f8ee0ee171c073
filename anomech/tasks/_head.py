"""The layer whose output is the logits: found by running the network, not by its place in a list.

A network may hold an auxiliary head, define its head first, end in a convolution, or multiply by a
bare parameter. So a few images are run with every linear operation watched, and the last one whose
output equals the logits, up to a common scale and a constant an example, is the head. Its input is
what detectors call features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from anomech.tasks._catching import Head, Operations, channels_of, pooled_over, tensors_in
from anomech.tasks._outputs import LABELS, Kind, inverted

TOLERANCE = 1e-3
FEWEST = 4
"""Images that tell a constant a class from chance."""

UNDERFLOW = -60.0
SATURATED = 8.0
"""Log-probabilities below the first and logits of one probability beyond the second have lost too
many digits to be compared."""


@dataclass
class _Found:
    """An operation whose output may be the logits, and the module in whose forward it happened."""

    number: int
    output: Tensor
    operands: tuple[Tensor, ...]
    owner: str
    module: bool = False


def find_head(
    network: nn.Module, call: Callable[[], Tensor], kind: Kind
) -> tuple[Tensor, Head | None]:
    """Run the network and look for its head.

    Args:
        network: in evaluation mode.
        call: runs it on at least two different images and gives outputs `[batch, outputs]`.
        kind: what the outputs mean.

    Returns:
        The outputs, and the head; None if no linear operation gives the logits.
    """
    scores, seen = _watched(network, call)
    later: set[str] = set()
    for found in reversed(seen):
        # A hook would take a later call of the same module for this one.
        found.module = found.module and found.owner not in later
        later.add(found.owner)
    for shifted in (False, True) if len(scores) >= FEWEST else (False,):
        for found in reversed(seen):
            head = _as_head(found, scores, kind, network, shifted=shifted)
            if head is not None:
                return scores, head
    return scores, None


def _watched(network: nn.Module, call: Callable[[], Tensor]) -> tuple[Tensor, list[_Found]]:
    """What `call` gives, and the linear operations on the way, in order."""
    seen: list[_Found] = []
    inside: list[str] = []

    def see(
        number: int, operation: Callable[..., Tensor], args: tuple[Any, ...], named: Any
    ) -> Tensor:
        output = operation(*args, **named)
        seen.append(_Found(number, output, tensors_in(args, named), inside[-1] if inside else ""))
        return output

    def before(name: str, module: nn.Module, inputs: Any) -> None:
        inside.append(name)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        name = inside.pop()
        if seen and seen[-1].output is output and isinstance(module, (nn.Linear, nn.Conv2d)):
            seen[-1].module = name != "" and seen[-1].owner == name

    handles: list[Any] = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(before, name)))
        handles.append(module.register_forward_hook(after))
    try:
        with torch.no_grad(), Operations(see):
            return call(), seen
    finally:
        for handle in handles:
            handle.remove()


def _as_head(
    found: _Found, scores: Tensor, kind: Kind, network: nn.Module, *, shifted: bool
) -> Head | None:
    for pooled in (False, True):
        output = pooled_over(found.output, channels_of(found.operands, found.output), pooled)
        if output is None or output.shape != scores.shape:
            continue
        scale = _scale(output.float(), scores, kind, shifted=shifted)
        if scale is None:
            continue
        names, operand = _parameters(found, network)
        if not names:
            return None
        return Head(
            layer=found.owner if found.module else names[0],
            parameters=names,
            operation=found.number,
            operand=operand,
            module=found.module,
            pooled=pooled,
            exact=not shifted and abs(scale - 1) <= TOLERANCE,
        )
    return None


def _scale(output: Tensor, scores: Tensor, kind: Kind, *, shifted: bool) -> float | None:
    """How many times the output the logits are; None if they are something else.

    Args:
        output: of an operation `[batch, outputs]`.
        scores: of the network.
        kind: what these mean.
        shifted: whether a constant a class may be between them, such as a bias that is added.
    """
    other = inverted(scores, kind).double()
    usable = torch.ones_like(other, dtype=torch.bool)
    if kind == "label_probabilities" or (kind == "probabilities" and scores.shape[1] == 1):
        usable = other.abs() < SATURATED
    elif kind not in ("logits", "labels"):
        usable = other > UNDERFLOW
    one = output.double()
    for axis, wanted in ((1, scores.shape[1] > 1 and kind not in LABELS), (0, shifted)):
        if wanted:
            one, other = _centered(one, usable, axis), _centered(other, usable, axis)
    one, other = one * usable, other * usable
    length = float((one * one).sum())
    scale = float((one * other).sum()) / length if length > 0 else 0.0
    largest = float(other.abs().max())
    if not (scale > 0 and largest > 0):
        return None
    return scale if float((other - scale * one).abs().max()) <= TOLERANCE * largest else None


def _centered(values: Tensor, usable: Tensor, axis: int) -> Tensor:
    total = usable.sum(dim=axis, keepdim=True).clamp_min(1)
    return values - (values * usable).sum(dim=axis, keepdim=True) / total


def _parameters(found: _Found, network: nn.Module) -> tuple[tuple[str, ...], int]:
    """Names of the parameters of an operation, and the place of its input among its operands."""
    prefix = f"{found.owner}." if found.owner else ""
    if found.module:
        inside = network.get_submodule(found.owner)
        return tuple(prefix + name for name, _ in inside.named_parameters()), 0
    places = [each.untyped_storage().data_ptr() for each in found.operands]
    own = {n: p.untyped_storage().data_ptr() for n, p in network.named_parameters()}
    others = [i for i, place in enumerate(places) if place not in own.values()]
    if not others:
        return (), 0
    names = tuple(name for name, place in own.items() if place in places)
    if not any(network.get_parameter(name).ndim > 1 for name in names):
        # The weight was computed, such as a normalized one, of what the module has.
        owner = network.get_submodule(found.owner)
        names = tuple(prefix + name for name, _ in owner.named_parameters(recurse=False))
        if sum(network.get_parameter(name).ndim > 1 for name in names) != 1:
            return (), 0
    return names, others[0]

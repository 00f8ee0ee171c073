"""Gradients of what has no rule: a module's call is repeated for each example, under `vmap`."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from anomech.tracing._projection import Sides, project

REPLAYED_AT_ONCE = 2**22
"""Numbers of gradients that a replay holds before they are projected."""


def replay(
    module: nn.Module,
    inputs: tuple[Any, ...],
    named: Mapping[str, Any],
    gradient: Tensor,
    names: Mapping[str, str],
    sides: Mapping[str, Sides],
    count: int,
) -> dict[str, Tensor]:
    """Projected gradients `[batch, kept]` of a module's parameters, by local name."""
    parameters = {local: module.get_parameter(local).detach() for local in names}
    given = [*inputs, *named.values()]
    apart = [each.detach() if isinstance(each, Tensor) else each for each in given]
    axes = [0 if has_rows(each, count) else None for each in apart]

    def projected(one: Tensor, *values: Any) -> dict[str, Tensor]:
        def pulled(moved: dict[str, Tensor]) -> Tensor:
            single = [
                each[None] if axis == 0 else each for each, axis in zip(values, axes, strict=True)
            ]
            keywords = dict(zip(named, single[len(inputs) :], strict=True))
            output = functional_call(module, moved, tuple(single[: len(inputs)]), keywords)
            result = output[0] if isinstance(output, (tuple, list)) else output
            return (result[0].float() * one.float()).sum()

        return {
            local: project(each.float(), sides[names[local]])
            for local, each in grad(pulled)(parameters).items()
        }

    size = sum(each.numel() for each in parameters.values())
    mapped: Callable[..., dict[str, Tensor]] = vmap(
        projected, in_dims=(0, *axes), chunk_size=max(1, REPLAYED_AT_ONCE // size)
    )
    with torch.enable_grad():
        found = mapped(gradient, *apart)
    return {local: rows.detach() for local, rows in found.items()}


def has_rows(values: Any, count: int) -> bool:
    """Whether something is a tensor with a row for each of so many examples."""
    return isinstance(values, Tensor) and values.shape[:1] == (count,)

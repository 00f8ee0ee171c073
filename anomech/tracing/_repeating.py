"""Blocks that are computed again on the way back, so that a long pass keeps little of them.

On the way forward a block leaves its input alone. When the gradient of its output is due, it is run
once more with a graph, which hooks see as they see any other call, and the graph is let go at once.
So memory grows with one block's activations and the inputs of all, not with the activations of all;
one more forward pass is the price. What comes out is the same.
Source: Chen, Xu, Zhang, Guestrin 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


@contextmanager
def repeating(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Let these blocks be computed again on the way back, for as long as the context is open.

    The way back must be gone within it. A block whose input starts no graph, or which is given
    other tensors that do, is run as ever.
    """
    # What was put before the class's own function, by whoever places layers on devices, comes back.
    given = [vars(block).get("forward") for block in blocks]
    try:
        for block in blocks:
            block.forward = partial(_forward, block.forward)
        yield
    finally:
        for block, before in zip(blocks, given, strict=True):
            vars(block).pop("forward", None)
            if before is not None:
                block.forward = before


def _forward(plain: Callable[..., Any], stream: Tensor, *given: Any, **named: Any) -> Any:
    others = [each for each in tree_leaves((given, named)) if isinstance(each, Tensor)]
    follows = torch.is_grad_enabled() and stream.requires_grad
    if not follows or any(each.requires_grad for each in others):
        return plain(stream, *given, **named)
    rest: list[Any] = []

    def call(states: Tensor) -> Tensor:
        output = plain(states, *given, **named)
        whole = not isinstance(output, Tensor)
        rest[:] = [output] if whole else []
        first: Tensor = output[0] if whole else output
        return first

    result: Tensor = _Repeated.apply(call, stream)  # type: ignore[no-untyped-call]
    return type(rest[0])((result, *rest[0][1:])) if rest else result


class _Repeated(torch.autograd.Function):
    """A function of one tensor that keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, call: Callable[[Tensor], Tensor], stream: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(stream)
        return call(stream)  # autograd is off here

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        (stream,) = ctx.saved_tensors
        with torch.enable_grad():
            again = stream.detach().requires_grad_()
            output = ctx.call(again)
        (back,) = torch.autograd.grad(output, again, gradient)
        return None, back

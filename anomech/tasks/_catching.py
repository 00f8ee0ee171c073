"""Watching the layer that gives a network's logits, in the call that gives them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LINEAR = (
    functional.linear,
    functional.conv2d,
    torch.conv2d,
    torch.matmul,
    torch.mm,
    torch.addmm,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.mm,
    torch.einsum,
)
"""Operations that a head can be."""


@dataclass(frozen=True)
class Head:
    """Where a network's logits come from.

    Attributes:
        layer: name of the module, or of the bare parameter.
        parameters: full names of the head's parameters.
        operation: which of the linear operations of a pass it is, counted from zero.
        operand: which of the operation's tensors is its input.
        module: whether `layer` is a module, which a hook can watch.
        pooled: whether logits are the mean of the output over its positions.
        exact: whether its output are logits whatever follows, so that nothing needs to be undone.
    """

    layer: str
    parameters: tuple[str, ...]
    operation: int
    operand: int
    module: bool
    pooled: bool
    exact: bool


@dataclass
class Caught:
    """What a head saw and gave in one call; empty where it was not reached.

    Attributes:
        features: its input `[batch, features]`, averaged over positions where its output is.
        output: its output `[batch, outputs]`, likewise.
    """

    features: Tensor | None = None
    output: Tensor | None = None


@dataclass
class Operations(TorchFunctionMode):
    """Sees linear operations as they happen and may act in their place."""

    see: Callable[[int, Callable[..., Tensor], tuple[Any, ...], Mapping[str, Any]], Tensor]
    count: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(  # type: ignore[override]
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func not in LINEAR:
            return func(*args, **named)
        number, self.count = self.count, self.count + 1
        return self.see(number, func, args, named)


def tensors_in(args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """The tensors among the arguments of an operation."""
    return tuple(each for each in (*args, *named.values()) if isinstance(each, Tensor))


def channels_of(operands: tuple[Tensor, ...], output: Tensor) -> int:
    """The axis of channels: of a convolution the first, else the last."""
    convolution = output.ndim == 4 and any(each.ndim == 4 for each in operands[1:2])
    return 1 if convolution else -1


def pooled_over(values: Tensor, channels: int, pooled: bool) -> Tensor | None:
    """`[batch, ...]` as `[batch, channels]`: flattened, or averaged over its positions."""
    if not pooled:
        return values.flatten(1) if values.ndim > 1 else None
    if values.ndim < 3:
        return None
    return values.flatten(2).mean(dim=2) if channels == 1 else values.flatten(1, -2).mean(dim=1)


@contextmanager
def watched_head(
    network: nn.Module, head: Head | None, device: torch.device, *, low: bool
) -> Iterator[Caught]:
    """Catch what a network's head sees and gives in the call that is made inside.

    Args:
        network: which has it.
        head: from `find_head`; None catches nothing.
        device: where the network runs.
        low: run the network in bfloat16, but its head in float32.
    """
    caught = Caught()
    full = torch.autocast(device.type, enabled=False)
    with torch.autocast(device.type, torch.bfloat16, enabled=low):
        if head is None:
            yield caught
        elif head.module:
            with _hooked(network.get_submodule(head.layer), head, caught, full if low else None):
                yield caught
        else:
            with Operations(_catching(head, caught, low)):
                yield caught


@contextmanager
def _hooked(module: nn.Module, head: Head, caught: Caught, full: Any) -> Iterator[None]:
    channels = 1 if isinstance(module, nn.Conv2d) else -1

    def before(module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        if full is None:
            return None
        full.__enter__()
        values, *others = inputs or tuple(named.values())
        weight: Any = next(module.parameters())
        return (values.to(weight.dtype), *others), {}

    def after(
        module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any], output: Any
    ) -> None:
        if full is not None:
            full.__exit__(None, None, None)
        if isinstance(output, Tensor):
            values = inputs[0] if inputs else next(iter(named.values()))
            caught.features = pooled_over(values, channels, head.pooled)
            caught.output = pooled_over(output, channels, head.pooled)

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, with_kwargs=True, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _catching(head: Head, caught: Caught, low: bool) -> Callable[..., Tensor]:
    def see(
        number: int, operation: Callable[..., Tensor], args: tuple[Any, ...], named: Any
    ) -> Tensor:
        if number != head.operation:
            return operation(*args, **named)
        if low:
            args = tuple(each.float() if isinstance(each, Tensor) else each for each in args)
            with torch.autocast(tensors_in(args, named)[0].device.type, enabled=False):
                output = operation(*args, **named)
        else:
            output = operation(*args, **named)
        operands = tensors_in(args, named)
        channels = channels_of(operands, output)
        caught.features = pooled_over(operands[head.operand], channels, head.pooled)
        caught.output = pooled_over(output, channels, head.pooled)
        return output

    return see

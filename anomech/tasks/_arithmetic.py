"""How a network is run: how many examples at once, and with how many bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anomech.kernel.errors import ModelError, answered

Precision = Literal["float32", "bfloat16"]

LARGEST = 512
"""Examples in one pass at the most; more gain nothing."""

CACHED = 2**22
"""Bytes that the largest activation of one pass may take on a CPU.

Activations that stay in the processor's caches make a pass faster, and so does memory that the
allocator can use again: it gives buffers of 32 MiB and more back to the system every time.
"""

LEAST_CACHED = 8


def capacity(network: nn.Module, one: Tensor, memory: int, device: torch.device) -> int:
    """How many examples one pass should take, a power of two.

    Args:
        network: in evaluation mode.
        one: an input `[1, ...]`.
        memory: bytes that the activations of one pass may take, those kept for going backward
            included.
        device: where it runs.
    """
    sizes: list[int] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * 4)

    leaves = [module for module in network.modules() if not any(module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        with torch.no_grad():
            answered(lambda: network(one), ModelError)
    except ModelError:  # the pass itself will say what is wrong with the input
        return 1
    finally:
        for handle in handles:
            handle.remove()
    # Functions between modules keep about as much as the modules themselves.
    most = memory // max(1, 2 * sum(sizes))
    if device.type == "cpu":
        most = min(most, max(LEAST_CACHED, CACHED // max(1, *sizes, 1)))
    return 2 ** (max(1, min(most, LARGEST)).bit_length() - 1)


@contextmanager
def watched_head(
    network: nn.Module, precision: Precision, device: torch.device
) -> Iterator[list[Tensor]]:
    """Run what is inside at this precision, but the last linear layer in float32.

    Yields:
        A list that holds the input of the last linear layer `[batch, features]` after a call; it
        stays empty if there is no such layer.
    """
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    caught: list[Tensor] = []
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    full = torch.autocast(device.type, enabled=False)

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        caught[:] = [inputs[0].flatten(1)]
        if precision == "float32":
            return None
        full.__enter__()
        return (inputs[0].to(module.weight.dtype), *inputs[1:])

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        if precision != "float32":
            full.__exit__(None, None, None)

    handles: list[Any] = []
    if linears:
        handles = [
            linears[-1].register_forward_pre_hook(before),
            linears[-1].register_forward_hook(after, always_call=True),
        ]
    try:
        with low:
            yield caught
    finally:
        for handle in handles:
            handle.remove()

"""How a network is run: how many images at once, how they lie in memory, with how many bits."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from anomech.kernel.errors import DataError, ModelError

Precision = Literal["float32", "bfloat16"]
Layout = Literal["channels_last", "contiguous"]

LARGEST = 512
"""Examples in one pass at the most; more gain nothing."""

CACHED = 2**22
"""Bytes that the largest activation of one pass may take on a CPU.

Activations that stay in the processor's caches make a pass faster, and so does memory that the
allocator can use again: it gives buffers of 32 MiB and more back to the system every time.
"""

LEAST_CACHED = 8


def capacity(
    network: nn.Module, call: Callable[[int], Any], memory: int, device: torch.device
) -> int:
    """How many examples one pass should take, a power of two.

    Args:
        network: in evaluation mode.
        call: runs it on so many inputs.
        memory: bytes that the activations of one pass may take, those kept for going backward
            included.
        device: where it runs.
    """
    sizes = _sizes(network, call)
    if not sizes:  # the pass itself will say what is wrong with the input
        return 1
    # Functions between modules keep about as much as the modules themselves.
    most = memory // max(1, 2 * sum(sizes))
    if device.type == "cpu":
        most = min(most, max(LEAST_CACHED, CACHED // max(1, *sizes, 1)))
    return 2 ** (max(1, min(most, LARGEST)).bit_length() - 1)


def _sizes(network: nn.Module, call: Callable[[int], Any]) -> list[int]:
    """Bytes of each activation for one input; empty if the network takes none."""
    for count in (1, 2):  # some networks take no input alone
        sizes: list[int] = []

        def note(module: nn.Module, inputs: Any, output: Any, sizes: list[int] = sizes) -> None:
            if isinstance(output, Tensor):
                sizes.append(output.numel() * 4)

        leaves = [module for module in network.modules() if not any(module.children())]
        handles = [leaf.register_forward_hook(note) for leaf in leaves]
        try:
            with torch.no_grad():
                call(count)
            return [size // count for size in sizes] or [1]
        except ModelError:
            continue
        finally:
            for handle in handles:
                handle.remove()
    return []


def pixels(batch: np.ndarray, device: torch.device) -> Tensor:
    """Images uint8 `[batch, h, w, c]` as float32 `[batch, c, h, w]` in [0, 1], channels last."""
    images = torch.from_numpy(np.ascontiguousarray(batch)).to(device)
    return images.permute(0, 3, 1, 2).float() / 255


def normalized(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images `[batch, c, h, w]` less `mean`, divided by `std`, each one value or one a channel.

    Raises:
        DataError: the normalization is for another number of channels.
    """
    channels = images.shape[1]
    if len(mean) not in (1, channels) or len(std) not in (1, channels):
        raise DataError(
            f"the images have {channels} channels, but task.mean has {len(mean)} values and "
            f"task.std {len(std)}; give one value per channel."
        )
    if tuple(mean) == (0.0,) and tuple(std) == (1.0,):
        return images
    shift = torch.tensor(mean, device=images.device).view(1, -1, 1, 1)
    return (images - shift) / torch.tensor(std, device=images.device).view(1, -1, 1, 1)


def laid(images: Tensor, layout: Layout) -> Tensor:
    """The images as a network takes them."""
    if layout == "channels_last":
        return images
    # With one channel both layouts count as contiguous, and only a copy has the strides of one.
    return images.clone(memory_format=torch.contiguous_format)

"""What a model was made of, where that is known: a base, or what lies under an adapter."""

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from anomech.kernel.types import Overlay

FIRST, SECOND = ".lora_A.", ".lora_B."
"""In names of an adapter's factors; the change is the second times the first."""

NUMBER = re.compile(r"\.(\d+)\.")


def known(network: nn.Module, base: nn.Module | None) -> bool:
    """Whether anything is known of what a network was made of."""
    return base is not None or any(SECOND in name for name, _ in network.named_parameters())


def ancestor_of(network: nn.Module, base: nn.Module | None) -> Overlay:
    """Tensors that turn a network back into what it was made of, by its own names.

    Args:
        network: the model, with an adapter or without.
        base: what it was made of; None if the adapter tells.
    """
    found: dict[str, Tensor] = {}
    before = dict(base.named_parameters()) if base is not None else {}
    for name, tensor in network.named_parameters():
        if SECOND in name:
            found[name] = torch.zeros_like(tensor)  # an adapter with one factor zero does nothing
        elif name in before and before[name].shape == tensor.shape:
            found[name] = before[name].detach().to(tensor)
    return found


def changes_of(network: nn.Module, base: nn.Module | None) -> Iterator[tuple[int, Tensor]]:
    """Changed matrices `[outputs, inputs]`, one at a time, each with the number of its block."""
    own = dict(network.named_parameters())
    before = dict(base.named_parameters()) if base is not None else {}
    for name, tensor in own.items():
        block = NUMBER.search(name)
        if block is None:
            continue
        if SECOND in name and (first := own.get(name.replace(SECOND, FIRST))) is not None:
            yield int(block[1]), (tensor @ first).detach()
        elif tensor.ndim == 2 and name in before and before[name].shape == tensor.shape:
            change = (tensor - before[name].to(tensor)).detach()
            if bool((change != 0).any()):
                yield int(block[1]), change

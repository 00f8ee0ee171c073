"""The file of a trained network: its weights, and what its attacks learned."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

LEARNED = "attack."
"""Prefix of what an attack learned."""


def save_network(path: Path, model: nn.Module, learned: Sequence[Mapping[str, Tensor]]) -> None:
    """Write a network and what each attack learned, whole or not at all."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    for number, each in enumerate(learned):
        for name, tensor in each.items():
            state[f"{LEARNED}{number}.{name}"] = tensor.detach().cpu().contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Workers may train one twin at a time: each writes a file of its own.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    save_file(state, partial)
    partial.replace(path)


def read_network(
    path: Path, attacks: int
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]] | None:
    """The weights of a kept network and what each attack learned; None if it is not there."""
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
    except SafetensorError:
        return None  # cut short by something else than this program; it is trained anew
    weights = {name: each for name, each in tensors.items() if not name.startswith(LEARNED)}
    prefixes = [f"{LEARNED}{number}." for number in range(attacks)]
    learned = [
        {
            name.removeprefix(prefix): each
            for name, each in tensors.items()
            if name.startswith(prefix)
        }
        for prefix in prefixes
    ]
    return weights, learned

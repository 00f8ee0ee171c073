"""The numbers in weights files: not finite, or larger than any training leaves them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.kinds import Kind
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import load_object, shown
from anomech.kernel.errors import AnomechError

BLOCK = 2**22
"""Numbers that are looked at together."""

ABSURD = 1e6
"""Larger than trained weights are by far; variances and masks may be as large."""

# Buffers that hold minus infinity or huge numbers on purpose.
_EXEMPT = re.compile(r"mask|running_var|num_batches|inv_freq|position|exp_avg|causal|\.bias_k")


@dataclass
class _Seen:
    """What was seen in one file."""

    spoiled: list[str]
    absurd: list[str]
    largest: float = 0.0


def check_numbers(path: Path, kind: Kind, name: str) -> list[Issue]:
    """Issues of the numbers in a weights file that was found sound otherwise."""
    seen = _Seen([], [])
    try:
        for tensor, values in _tensors(path, kind):
            _look(tensor, values, seen)
    except (AnomechError, SafetensorError, OSError, RuntimeError, ValueError) as error:
        return [issue("damaged-weights", name, f"Its numbers cannot be read ({said(error)}).")]
    found = []
    if seen.spoiled:
        detail = f"Numbers are NaN or infinite in {_some(seen.spoiled)}."
        found.append(issue("spoiled-weights", name, detail))
    if seen.absurd:
        detail = f"Numbers are as large as {seen.largest:.2g} in {_some(seen.absurd)}."
        found.append(issue("absurd-weights", name, detail))
    return found


def _some(names: list[str]) -> str:
    """The first of some tensors, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more tensors"


def said(error: Exception) -> str:
    """What an error says, short."""
    return shown(" ".join(str(error).split()), 160)


def _tensors(path: Path, kind: Kind) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a file one after the other."""
    if kind is Kind.SAFETENSORS:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                yield name, file.get_tensor(name)
    else:
        yield from _inside("", load_object(path), 0)


def _inside(name: str, value: Any, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping) and depth < 8:
        for key, each in value.items():
            yield from _inside(f"{name}.{key}" if name else str(key), each, depth + 1)
    elif isinstance(value, list | tuple) and depth < 8:
        for place, each in enumerate(value):
            yield from _inside(f"{name}.{place}", each, depth + 1)


@torch.no_grad()
def _look(name: str, tensor: Tensor, seen: _Seen) -> None:
    if not tensor.is_floating_point() or not tensor.numel() or _EXEMPT.search(name):
        return
    held = tensor.untyped_storage().nbytes() // tensor.element_size()
    if held < tensor.numel():  # expanded: every number that is stored is looked at once
        tensor = tensor.as_strided((held,), (1,), 0)
    flat, largest = tensor.reshape(-1), 0.0
    for start in range(0, len(flat), BLOCK):
        block = flat[start : start + BLOCK]
        top = float((block if block.element_size() > 2 else block.float()).abs().max())
        if not top < float("inf"):  # NaN is not, either
            seen.spoiled.append(f"'{shown(name, 80)}'")
            return
        largest = max(largest, top)
    if largest > ABSURD:
        seen.absurd.append(f"'{shown(name, 80)}'")
        seen.largest = max(seen.largest, largest)

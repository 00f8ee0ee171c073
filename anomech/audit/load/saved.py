"""The file of a profile: tensors, and in its header one JSON text that says what they are.

It is a safetensors file, so reading it runs nothing and takes no more memory than its size. A
digest over all of it tells a file that was damaged; who can write it can write the digest too.
"""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.records import write_bytes

SCHEMA = 2
"""Of what a profile holds; another one is refused. 2 knows of doubtful trusted examples."""

HEADER = "anomech"
"""Key of the JSON text in the file's header."""


def write_saved(path: Path, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write facts and tensors, whole or not at all.

    Raises:
        RunError: the file cannot be written.
    """
    written = {name: _written(tensor) for name, tensor in tensors.items()}
    signed = {"schema": SCHEMA, "anomech": version("anomech"), **facts}
    signed["digest"] = _digest(signed, written)
    header = {HEADER: json.dumps(signed, allow_nan=False)}
    write_bytes(path, packed(written, header))


def read_saved(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of a file whose digest is right.

    Raises:
        DataError: there is no such file, it is no profile, it was changed, or another version of
            this package wrote it.
    """
    facts = peek(path)
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            # In memory of their own, aligned as torch does it: sums depend on that to the last bit.
            tensors = {name: file.get_tensor(name).clone() for name in names}
    except (OSError, SafetensorError) as error:
        raise DataError(damaged(path, str(error)[:100])) from None
    if facts.pop("digest") != _digest(facts, tensors):
        raise DataError(damaged(path, "its content does not belong to its digest"))
    return facts, tensors


def peek(path: Path) -> dict[str, Any]:
    """The facts alone, unverified.

    Raises:
        DataError: as for `read_saved`.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})[HEADER])
        known = (facts["schema"], facts["anomech"], type(facts["digest"]), type(facts["plan"]))
    except FileNotFoundError:
        raise DataError(f"there is no profile at {path}; `anomech fit` writes one.") from None
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RecursionError):
        raise DataError(f"{path.name} is no profile; `anomech fit` writes one.") from None
    if known != (SCHEMA, version("anomech"), str, dict):
        raise DataError(
            f"{path.name} was written by another version of this package, whose scores may differ; "
            "fit it again with `anomech fit`."
        )
    return dict(facts)


def damaged(path: Path, why: str) -> str:
    """The sentence about a file that is not as it was written."""
    return f"{path.name} is damaged or was changed ({why}); fit it again with `anomech fit`."


def _written(tensor: Tensor) -> Tensor:
    """As it goes into the file: on the CPU, with memory of its own."""
    here = tensor.cpu().contiguous()
    shared = here.untyped_storage().nbytes() != here.numel() * here.element_size()
    return here.clone() if shared or here is tensor else here


def _digest(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

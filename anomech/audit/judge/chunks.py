"""Finished chunks of inputs on disk, so that an interrupted run loses at most one.

A chunk is `work/00003.json` (score rows and verdicts) with `work/00003.safetensors` (unexplained
responses of its flagged inputs). The JSON is written last: where it is, the chunk is whole.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as packed
from torch import Tensor

from anomech.kernel.errors import RunError
from anomech.records import Record, ScoreRow, Verdict, read_record, write_bytes, write_text

CHUNK = 1024
"""Inputs judged at once unless a plan says otherwise."""


MAX_CHUNK = 2**32
"""Bytes of a chunk's JSON."""


class Chunk(Record):
    """What was found for one chunk of inputs."""

    content: str
    """Hash of the digests of its inputs."""
    basis: str = ""
    """Hash of what it was judged with, see `anomech.audit.load.provenance.basis`."""
    scores: dict[str, tuple[ScoreRow, ...]]
    """By detector."""
    verdicts: tuple[Verdict, ...]
    unsure: int = 0
    """Inputs that the model is less sure of than of nearly all trusted examples."""
    seconds: dict[str, float]
    """By detector, with the traces that it looks at."""
    tracing: dict[str, float]
    """By detector, the part of them that went into those traces; detectors share it."""


def bounds(count: int, size: int) -> Iterator[np.ndarray]:
    """Places of each chunk."""
    return (span(number, count, size) for number in range(-(-count // size)))


def span(number: int, count: int, size: int) -> np.ndarray:
    """Places of one chunk."""
    return np.arange(number * size, min((number + 1) * size, count))


def save(folder: Path, number: int, chunk: Chunk, residuals: Tensor | None) -> None:
    """Write a chunk.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    if residuals is not None:
        path = folder / f"{number:05d}.safetensors"
        write_bytes(path, packed({"residuals": residuals.contiguous()}))
    write_text(folder / f"{number:05d}.json", chunk.model_dump_json(exclude_none=True))


def load(folder: Path, number: int) -> tuple[Chunk, Tensor] | None:
    """A finished chunk with its residuals `[flagged, features]`; None if absent or damaged."""
    path = folder / f"{number:05d}.json"
    if not path.exists():
        return None
    tensors = path.with_suffix(".safetensors")
    try:
        residuals = load_file(tensors)["residuals"] if tensors.exists() else torch.zeros(0, 0)
        return read_record(path, Chunk, MAX_CHUNK), residuals
    except (RunError, SafetensorError, KeyError):
        return None  # it is computed again, which also mends the file

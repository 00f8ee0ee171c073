"""What `torch.save` put into a file, as plain values, tensors and arrays.

A process of its own says what is in the file (`anomech.artefacts.sandbox`); here tensors are laid
over its bytes, every place and size checked before. Nothing is copied: the file is mapped.
"""

import math
import mmap
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.artefacts.sandbox import ask
from anomech.kernel.errors import ModelError, UnsafeCheckpoint
from anomech.storage.files import regular_file

MAX_EXPANSION = 4
"""Bytes that all tensors of a file may take, in units of its size. More than one because tied
weights are stored once; without a limit a few bytes could describe a tensor of any size."""

REMEDY = "ask for a safetensors file, or a plain state dict: torch.save(model.state_dict(), path)"

Key = str | int | float | bool | None


class Unread(NamedTuple):
    """Stands for a part of a file that is not read, such as a sparse tensor or a date."""

    what: str


def existing(path: str | Path) -> Path:
    """The path of a file that is there and not empty.

    Raises:
        ModelError: there is no such file, or it is a folder, a pipe or a device.
    """
    path = Path(path)
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        inside = " in that folder" if path.is_dir() else ""
        raise ModelError(
            f"The checkpoint {shown(str(path))} {what}; name a .safetensors, .pt or .pth file"
            f"{inside}."
        )
    if path.stat().st_size == 0:
        raise ModelError(f"The checkpoint {shown(path.name)} is empty; get it again.")
    return path


def opened(path: Path) -> BinaryIO:
    """An existing file, opened for reading.

    Raises:
        ModelError: it cannot be, or is no regular file.
    """
    try:
        return regular_file(path)
    except OSError as error:
        raise ModelError(
            f"{shown(path.name)} cannot be opened ({error.strerror}); name a checkpoint that can "
            "be read."
        ) from None


def shown(text: str, most: int = 120) -> str:
    """A stranger's text for a message: printable, and not long."""
    clean = "".join(character if character.isprintable() else "?" for character in text[: most + 1])
    return clean if len(text) <= most else clean[:most] + "..."


def load_object(path: Path) -> Any:
    """What `torch.save` put into a file.

    Args:
        path: an existing file.

    Returns:
        Dictionaries, lists, tuples, texts, numbers, bytes, tensors on the CPU and arrays of numpy.
        Sets come as lists, plain value classes as the dictionary or text that they hold, and
        anything else that is harmless as `Unread`.

    Raises:
        UnsafeCheckpoint: the file asks for functions or classes beyond plain values.
        ModelError: the file is damaged, of another kind, or claims more than it holds.
    """
    with opened(path) as file:
        name = shown(path.name)
        reply = ask(file, name)
        _check_reply(reply, name)
        size = os.fstat(file.fileno()).st_size
        return _Builder(file, size, reply["storages"], name).build(reply["rows"])


def _check_reply(reply: dict[str, Any], name: str) -> None:
    """Turn what is no content into errors."""
    if "unsafe" in reply:
        raise _unsafe(name, tuple(map(shown, reply["unsafe"])), reply["root"])
    if "refused" in reply:
        raise ModelError(
            f"{name} {reply['refused']}; nothing in it was executed; "
            f"{reply.get('remedy') or REMEDY}."
        )
    if "damaged" in reply:
        raise ModelError(
            f"{name} cannot be read as a checkpoint: it {reply['damaged']}; get it again, or "
            f"{REMEDY}."
        )


def _unsafe(name: str, names: tuple[str, ...], root: str) -> UnsafeCheckpoint:
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    if root in names and any(each.startswith("torch.nn.modules.") for each in names):
        return UnsafeCheckpoint(
            f"{name} holds a whole model with its code ({some}), which only running that code can "
            "restore; it was refused and nothing in it was executed; where it is trusted, save the "
            "weights alone: torch.save(model.state_dict(), path).",
            names,
        )
    return UnsafeCheckpoint(
        f"{name} asks for code beyond plain tensors when it is loaded ({some}); it was refused and "
        f"nothing in it was executed; {REMEDY}.",
        names,
    )


class _Builder:
    """Makes values from rows, each from earlier ones."""

    def __init__(self, file: BinaryIO, size: int, storages: dict[str, Any], name: str) -> None:
        self.size = size
        self.storages = storages
        self.name = name
        self.claimed = 0
        # Copy-on-write: the file is never changed, and what is never read takes no memory.
        self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        self.known: dict[tuple[str, str], Tensor] = {}

    def build(self, rows: list[list[Any]]) -> Any:
        """The value of the last row."""
        self._check_claims(rows)
        values: list[Any] = []
        for row in rows:
            values.append(self._value(row, values))
        return values[-1]

    def _value(self, row: list[Any], values: list[Any]) -> Any:
        kind = row[0]
        if kind == "v":
            return row[1]
        if kind == "b":
            return row[1].encode("latin-1")
        if kind == "l":
            return [values[each] for each in row[1]]
        if kind == "u":
            return tuple(values[each] for each in row[1])
        if kind == "d":
            return self._dictionary(row[1], values)
        if kind == "t":
            return self._tensor(*row[1:])
        if kind == "a":
            _, code, order, shape, by_columns, raw = row
            return self._array(code, order, shape, by_columns, values[raw])
        return Unread(shown(str(row[1])))

    def _dictionary(self, inside: list[int], values: list[Any]) -> dict[Key, Any]:
        made: dict[Key, Any] = {}
        for key, value in zip(inside[::2], inside[1::2], strict=True):
            if not isinstance(values[key], Key):
                raise ModelError(
                    f"{self.name} has a dictionary whose keys are neither text nor numbers, which "
                    f"is not read; {REMEDY}."
                )
            made[values[key]] = values[value]
        return made

    def _check_claims(self, rows: list[list[Any]]) -> None:
        """Refuse tensors that together claim more than the file holds."""
        total = 0
        for row in rows:
            if row[0] == "t":
                total += math.prod(row[4]) * getattr(torch, row[2]).itemsize
        if total > MAX_EXPANSION * self.size:
            raise ModelError(
                f"The tensors of {self.name} claim {total} bytes, the file has {self.size}; "
                f"{REMEDY}."
            )

    def _tensor(
        self, key: str, dtype: str, offset: int, shape: list[int], strides: list[int]
    ) -> Tensor:
        flat = self._storage(key, dtype)
        reach = offset + sum((side - 1) * step for side, step in zip(shape, strides, strict=False))
        if len(shape) != len(strides) or (0 not in shape and reach >= len(flat)):
            raise ModelError(
                f"{self.name} cannot be read as a checkpoint: a tensor reaches beyond its numbers; "
                "get it again."
            )
        if 0 in shape:
            return torch.empty(shape, dtype=flat.dtype)
        return flat.as_strided(shape, strides, offset)

    def _storage(self, key: str, dtype: str) -> Tensor:
        if (key, dtype) not in self.known:
            self.known[key, dtype] = self._mapped(key, getattr(torch, dtype))
        return self.known[key, dtype]

    def _mapped(self, key: str, dtype: torch.dtype) -> Tensor:
        start, length = self.storages[key]
        count = length // dtype.itemsize
        if start < 0 or length < 0 or start + length > self.size:
            raise ModelError(f"{self.name} is shorter than it says; get it again.")
        if count == 0:
            return torch.empty(0, dtype=dtype)
        if start % dtype.itemsize:  # numbers at odd places are slow, and on some machines an error
            copied = bytearray(self.bytes[start : start + count * dtype.itemsize])
            return torch.frombuffer(copied, dtype=dtype)
        return torch.frombuffer(self.bytes, dtype=dtype, count=count, offset=start)

    def _array(
        self, code: str, order: str, shape: list[int], by_columns: bool, raw: bytes
    ) -> np.ndarray:
        dtype = np.dtype(order + code)
        if math.prod(shape) * dtype.itemsize != len(raw):
            raise ModelError(
                f"{self.name} cannot be read as a checkpoint: an array does not hold what its "
                "shape says; get it again."
            )
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if by_columns else "C")

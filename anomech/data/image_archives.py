"""Images in `.npz` files, read without trusting what the file claims about its size.

Two layouts are known: plain arrays `images` (uint8 `[n, h, w, c]`), optional `labels` and `ids`;
and the archive layout of `anomech.data.archive`.
"""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomech.data.archive import read_archive
from anomech.errors import DataError

MAX_BYTES = 2**32
"""Most bytes (4 GiB) that the arrays of one file may take once unpacked; more is refused unread."""


class ArchivedImages(NamedTuple):
    """Arrays of an `.npz` file: images uint8, labels and ids if it has them."""

    images: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray | None


def read_npz(path: Path) -> ArchivedImages:
    """Images of an `.npz` file in either layout.

    Raises:
        DataError: the file is damaged, holds pickled objects or other keys, or claims more than
            `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            total = sum(info.file_size for info in members.values())
            if total > MAX_BYTES:
                raise DataError(_too_large(path, total))
            if "images" in members:
                optional = [
                    _array(archive, members[key], path) if key in members else None
                    for key in ("labels", "ids")
                ]
                return ArchivedImages(_array(archive, members["images"], path), *optional)
            if {"data", "shape", "labels"} <= members.keys():
                data, shape, _ = (
                    _array(archive, members[key], path) for key in ("data", "shape", "labels")
                )
                _check_stream(path, data, shape)
                return ArchivedImages(*read_archive(path), None)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(
            f"{path.name} is not a readable .npz file ({type(error).__name__}); write it with "
            "numpy.savez(path, images=..., labels=...)."
        ) from None
    found = ", ".join(sorted(members)[:5]) or "nothing"
    raise DataError(
        f"{path.name} has no array 'images' (found: {found}); write it with "
        "numpy.savez(path, images=..., labels=...)."
    )


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """One array; its header must agree with the size of its member before anything is allocated."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"array format {version}")
        shape, fortran, dtype = read(stream)
        if dtype.kind not in "buifSU":
            raise DataError(
                f"{info.filename} in {path.name} holds {dtype} values, which are not read from "
                "files; store plain numbers or text."
            )
        size = dtype.itemsize
        for side in shape:
            size *= int(side)  # exact integers: no overflow
        if size != info.file_size - stream.tell():
            raise DataError(
                f"{info.filename} in {path.name} claims {size} bytes but does not hold them; "
                "the file is damaged, get it again."
            )
        flat = np.empty(size, np.uint8)
        filled = 0
        while filled < size:
            block = stream.read(min(1 << 20, size - filled))
            if not block:
                raise EOFError
            flat[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
            filled += len(block)
    return np.ascontiguousarray(np.ndarray(shape, dtype, flat.data, order="F" if fortran else "C"))


def _check_stream(path: Path, data: np.ndarray, shape: np.ndarray) -> None:
    """Refuse an archive whose zlib stream unpacks to something else than its shape says."""
    sides = [int(side) for side in shape.ravel()[:8]] if shape.dtype.kind in "iu" else []
    if len(sides) != 4 or min(sides) < 1 or data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError("shape")
    expected = sides[0] * sides[1] * sides[2] * sides[3]
    if expected > MAX_BYTES:
        raise DataError(_too_large(path, expected))
    unpacker, unpacked = zlib.decompressobj(), 0
    for start in range(0, len(data), 1 << 16):
        rest = data[start : start + (1 << 16)].tobytes()
        while rest and unpacked <= expected:
            unpacked += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
    if unpacked != expected:
        raise DataError(
            f"{path.name} does not unpack to the {expected} pixels its shape says; the file is "
            "damaged, get it again."
        )


def _too_large(path: Path, total: int) -> str:
    return (
        f"{path.name} would unpack to {total} bytes, more than the {MAX_BYTES} that are accepted; "
        "split it, or use a folder of image files, which is read a batch at a time."
    )

"""Images in `.npz` and `.npy` files, read without trusting what a file claims about its size.

Two layouts of `.npz` are known: plain arrays, the images (uint8) with optional labels and ids (see
`anomech.data.array_keys`); and the layout of `anomech.data.archive`. An `.npy` holds the images.

Small arrays are read into memory. Of large ones only the place in the file is kept: an uncompressed
one is read where it lies, a compressed one is unpacked into a scratch file without a name first.
"""

import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from anomech.data.archive import read_archive
from anomech.data.array_files import ArrayFile, stamp
from anomech.data.array_keys import BY_NAME, REMEDY, Keys, Sketch, chosen_keys
from anomech.data.compact import Texts, packed
from anomech.data.remarks import FileRemark
from anomech.kernel.errors import DataError, shortened

MAX_BYTES = 2**32
"""Most bytes (4 GiB) that what is compressed or held in memory of one file may unpack to."""

SMALL_BYTES = 2**24
"""Images of up to 16 MiB are held in memory; larger ones stay in the file."""

BLOCK = 2**20
"""Bytes copied at once."""

DAMAGED = (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError)


class ArchivedImages(NamedTuple):
    """What a file holds: images uint8, in memory or in the file; labels and ids if it has them."""

    images: np.ndarray | ArrayFile
    labels: np.ndarray | None = None
    ids: Texts | None = None
    remarks: tuple[FileRemark, ...] = ()


class _Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    size: int
    """Bytes of the values."""
    start: int
    """Bytes before the values."""


def read_npz(path: Path, keys: Keys = BY_NAME) -> ArchivedImages:
    """Images of an `.npz` file in either layout; `keys` names arrays that are called otherwise.

    Raises:
        DataError: the file is damaged, holds pickled objects or other keys, or unpacks to more than
            `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                info.filename.removesuffix(".npy"): info
                for info in archive.infolist()
                if info.filename.endswith(".npy")
            }
            if {"data", "shape", "labels"} <= members.keys() and "images" not in members:
                _check_size(path, members, "")
                data, shape, _ = (
                    _array(archive, members[key], path) for key in ("data", "shape", "labels")
                )
                _check_stream(path, data, shape)
                return ArchivedImages(*read_archive(path))
            sketches = {name: _sketch(archive, info, path) for name, info in members.items()}
            chosen, remarks = chosen_keys(sketches, keys, path.name)
            _check_size(path, {name: members[name] for name in chosen if name}, chosen.images)
            labels, ids = chosen.labels, chosen.ids
            return ArchivedImages(
                _images(archive, members[chosen.images], path),
                _array(archive, members[labels], path) if labels else None,
                packed(_texts(archive, members[ids], path)) if ids else None,
                remarks,
            )
    except DAMAGED as error:
        raise DataError(
            f"{path.name} is not a readable .npz file ({type(error).__name__}); {REMEDY}"
        ) from None


def _sketch(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Sketch:
    with archive.open(info) as stream:
        header = _header(stream, f"{info.filename} in {path.name}", info.file_size)
        return Sketch(header.shape, header.dtype)


def read_npy(path: Path) -> ArchivedImages:
    """Images of an `.npy` file.

    Raises:
        DataError: the file is damaged or holds pickled objects.
    """
    try:
        with open(path, "rb") as stream:
            header = _header(stream, path.name, stamp(stream)[0])
            if header.size <= SMALL_BYTES:
                return ArchivedImages(_values(stream, header))
        return ArchivedImages(_in_file(path, path.name, header, header.start))
    except DAMAGED as error:
        raise DataError(
            f"{path.name} is not a readable .npy file ({type(error).__name__}); write it with "
            "numpy.save(path, images)."
        ) from None


def _check_size(path: Path, members: dict[str, zipfile.ZipInfo], images: str) -> None:
    """Refuse what would fill memory or disk; uncompressed images are as large as their file."""
    total = sum(
        info.file_size for name, info in members.items() if name != images or not _is_stored(info)
    )
    if total > MAX_BYTES:
        raise DataError(_too_large(path, total))


def _is_stored(info: zipfile.ZipInfo) -> bool:
    return info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size


def _images(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray | ArrayFile:
    if info.file_size <= SMALL_BYTES:
        return _array(archive, info, path)
    name = f"{info.filename} in {path.name}"
    with archive.open(info) as stream:
        header = _header(stream, name, info.file_size)
        if not _is_stored(info):
            return _scratch(stream, name, header)
        while stream.read(BLOCK):  # its checksum is compared at the end
            pass
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        # The local header of a member: 30 bytes, then its name and extra field.
        *_, named, extra = struct.unpack("<4s5H3L2H", file.read(30))
    return _in_file(path, name, header, info.header_offset + 30 + named + extra + header.start)


def _in_file(path: Path, name: str, header: _Header, offset: int) -> ArrayFile:
    _check_rows(name, header)
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - it stays open as long as the images
    return ArrayFile(file, path.name, offset, header.shape, stamp(file))


def _scratch(stream: Any, name: str, header: _Header) -> ArrayFile:
    """Unpack values into a file without a name, which is gone when the process is."""
    _check_rows(name, header)
    file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # type: ignore[assignment]  # noqa: SIM115
    try:
        while block := stream.read(BLOCK):
            file.write(block)
    except OSError as error:
        if error.strerror is None:  # zipfile's own, about the content
            raise
        raise DataError(
            f"{name} is compressed and could not be unpacked into {tempfile.gettempdir()} "
            f"({error.strerror}); free {header.size >> 20} MiB there, set TMPDIR to another "
            "folder, or write it uncompressed with numpy.savez."
        ) from None
    return ArrayFile(file, name, 0, header.shape, stamp(file))


def _check_rows(name: str, header: _Header) -> None:
    if header.dtype != np.uint8 or header.fortran or len(header.shape) < 2:
        raise DataError(
            f"{name} holds {header.dtype} {list(header.shape)}"
            f"{' in column order' if header.fortran else ''}, and images of more than "
            f"{SMALL_BYTES >> 20} MiB must be uint8 [n, h, w, c] in row order; convert them with "
            "numpy.ascontiguousarray(images, 'uint8')."
        )


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    with archive.open(info) as stream:
        return _values(stream, _header(stream, f"{info.filename} in {path.name}", info.file_size))


def _texts(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Iterator[Any]:
    """Values of an array in reading order, a block at a time."""
    with archive.open(info) as stream:
        header = _header(stream, f"{info.filename} in {path.name}", info.file_size)
        if header.fortran and len(header.shape) > 1:
            raise DataError(f"ids in {path.name} must be [n]; give one text an image.")
        left, size = header.size, max(1, header.dtype.itemsize)
        while left:
            part = min(left, max(1, BLOCK // size) * size)
            yield from _flat(stream, part).view(header.dtype).tolist()
            left -= part


def _header(stream: Any, name: str, file_size: int) -> _Header:
    """The header of an array, which must agree with the size of its file before it is believed."""
    shape, fortran, dtype = _read_header(stream)
    if min(shape, default=0) < 0:
        raise ValueError("a negative size")
    if dtype.kind not in "buifSU":
        raise DataError(
            f"{shortened(name)} holds {shortened(dtype, 60)} values, which are not read from "
            "files; store plain numbers or text."
        )
    size = dtype.itemsize
    for side in shape:
        size *= side  # exact integers: no overflow
    start = stream.tell()
    if size != file_size - start:
        raise DataError(
            f"{name} claims {shortened(size, 40)} bytes but does not hold them; the file is "
            "damaged, get it again."
        )
    return _Header(shape, fortran, dtype, size, start)


def _read_header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"array format {version}")
    try:
        shape, fortran, dtype = read(stream)
    except zlib.error:
        raise
    except Exception:  # numpy parses the text of a header, and answers a damaged one with anything
        raise ValueError("header") from None
    return tuple(int(side) for side in shape), bool(fortran), dtype


def _values(stream: Any, header: _Header) -> np.ndarray:
    flat = _flat(stream, header.size)
    shape = header.shape[::-1] if header.fortran else header.shape
    values = np.ndarray(shape, header.dtype, flat.data)
    return np.ascontiguousarray(values.T if header.fortran else values)


def _flat(stream: Any, size: int) -> np.ndarray:
    flat = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        block = stream.read(min(BLOCK, size - filled))
        if not block:
            raise EOFError
        flat[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
        filled += len(block)
    return flat


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
        "write it uncompressed with numpy.savez, split it, or use a folder of image files."
    )

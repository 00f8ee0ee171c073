"""Where in a file the pickle and the numbers of its tensors lie.

`torch.save` writes a zip with a pickle and one member for each storage; its older format is five
pickles one after the other, and the storages behind them.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from anomech.artefacts.inert.kinds import refuse_members
from anomech.artefacts.inert.machine import Machine
from anomech.artefacts.inert.nodes import Damaged, Node, Refused
from anomech.artefacts.inert.rows import Rows

SCAN_BYTES = 2**26
"""How much of a pickle is read (64 MiB); that of a checkpoint is small, its tensors lie apart."""

MEMBERS = 2**17
"""Members that a zip may have; a checkpoint has one for each tensor."""

STREAMS = 8
"""Pickles that are looked for in a file that torch did not write."""

UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(OSError, ValueError, NotImplementedError, EOFError, RuntimeError),
)
"""What Python's reader of zips raises for damaged or unusual ones."""

MAGIC = 0x1950A86A20F9469CFC6C
"""First of the five pickles in the older format."""

WIDTHS = {
    **{"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4},
    **{"int16": 2, "int8": 1, "uint8": 1, "bool": 1, "complex64": 8, "complex128": 16},
    **{"qint8": 1, "quint8": 1, "qint32": 4, "untyped": 1},
}
"""Bytes a number of the types that storages have."""


class Layout(NamedTuple):
    """A file taken apart.

    Attributes:
        kind: "zip", "older" or "pickle" (one that `torch.save` did not write).
        root: the value that was saved.
        size: bytes of its pickle.
        members: in a zip, first byte and length of every member by its name inside the archive.
        tail: in the older format, the first byte behind the pickles.
        keys: in the older format, the list of storages in the order of the file.
    """

    kind: str
    root: Node
    size: int
    members: dict[str, tuple[int, int]]
    tail: int = 0
    keys: Node | None = None


def read_zip(file: BinaryIO, size: int, machine: Machine) -> Layout:
    """Follow the pickles of a zip.

    Raises:
        Damaged: it is no zip, or its pickle is damaged.
        Refused: it is packed, ambiguous or of another kind.
    """
    try:
        archive = zipfile.ZipFile(file)
    except UNREADABLE:
        raise Damaged("is no readable zip") from None
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise Refused(f"is a zip of {len(infos)} members")
    names = [info.filename for info in infos]
    roots, problems = _roots(archive, machine)
    refuse_members(names)
    _check_members(infos, size)
    if problems:
        raise problems[0]
    if len(set(names)) < len(names) or sum(name.endswith("/data.pkl") for name in names) > 1:
        raise Refused("is a zip with several members of one name, or several data.pkl")
    top = names[0].partition("/")[0] + "/" if names else "/"
    if f"{top}data.pkl" not in roots:
        raise Damaged("is a zip, but none that torch.save writes")
    _check_order(archive, f"{top}byteorder")
    root, length = roots[f"{top}data.pkl"]
    members = {
        info.filename.removeprefix(top): (_start(file, info), info.file_size)
        for info in infos
        if info.filename.startswith(top)
    }
    return Layout("zip", root, length, members)


def _roots(
    archive: zipfile.ZipFile, machine: Machine
) -> tuple[dict[str, tuple[Node, int]], list[Damaged | Refused]]:
    """Values and sizes of all pickles: the machine sees names in every one, damaged or not."""
    roots: dict[str, tuple[Node, int]] = {}
    problems: list[Damaged | Refused] = []
    for info in archive.infolist():
        if info.filename.lower().endswith(".pkl"):
            try:
                roots[info.filename] = _follow(archive, info, machine)
            except (Damaged, Refused) as error:
                problems.append(error)
    return roots, problems


def _follow(archive: zipfile.ZipFile, info: zipfile.ZipInfo, machine: Machine) -> tuple[Node, int]:
    data = _member(archive, info, SCAN_BYTES + 1)
    if len(data) > SCAN_BYTES:
        raise Refused(f"has a pickle of more than {SCAN_BYTES} bytes")
    return machine.run(io.BytesIO(data)), len(data)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The first bytes of a member; packed ones are not unpacked further."""
    try:
        with archive.open(info) as member:
            return member.read(most)
    except UNREADABLE:
        raise Damaged("has a damaged member") from None


def _check_members(infos: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse a zip that could unpack to more than it is; `torch.save` never compresses."""
    packed = any(info.compress_type != zipfile.ZIP_STORED for info in infos)
    total = sum(info.file_size for info in infos)
    if packed or total > size:
        raise Refused(f"is a compressed zip that claims {total} bytes in a file of {size}")


def _check_order(archive: zipfile.ZipFile, name: str) -> None:
    info = archive.NameToInfo.get(name)
    if info is not None and _member(archive, info, 16).strip() != b"little":
        raise Refused("was written on a machine of another byte order")


def _start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """The first byte of a stored member; its local header has lengths of its own."""
    file.seek(info.header_offset)
    head = file.read(30)
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise Damaged("has a member that is not where it should be")
    name, extra = struct.unpack("<HH", head[26:30])
    return info.header_offset + 30 + name + extra


def read_pickles(file: BinaryIO, machine: Machine) -> Layout:
    """Follow a file that begins with a pickle.

    Raises:
        Damaged: it does not, or the pickle is damaged.
        Refused: it has more instructions than are followed.
    """
    stream = io.BytesIO(file.read(SCAN_BYTES))
    first = machine.run(stream)
    if first.kind == "value" and first.value == MAGIC:
        values = [first, *(machine.run(stream) for _ in range(4))]
        return Layout("older", values[3], stream.tell(), {}, stream.tell(), values[4])
    size = stream.tell()
    for _ in range(STREAMS):  # what further calls of a loader would run
        if stream.tell() == len(stream.getvalue()):
            break
        with suppress(Damaged):
            machine.run(stream)
    return Layout("pickle", first, size, {})


def places(
    layout: Layout, rows: Rows, keys: int | None, file: BinaryIO, size: int
) -> dict[str, tuple[int, int]]:
    """First byte and length of every storage that a tensor lies in.

    Args:
        layout: of the file.
        rows: what was found in it.
        keys: in the older format, the row of the list of storages in the order of the file.
        file: the file.
        size: its bytes.

    Raises:
        Damaged: a storage is not in the file.
    """
    if layout.kind == "zip":
        found = {key: layout.members.get(f"data/{key}") for key in rows.counts}
    else:
        found = dict(_behind(layout, rows, keys, file, size))
    placed = {key: found.get(key) for key in rows.counts}
    if any(place is None or sum(place) > size for place in placed.values()):
        raise Damaged("lacks some of the numbers that it names")
    return {key: place for key, place in placed.items() if place is not None}


def _behind(
    layout: Layout, rows: Rows, keys: int | None, file: BinaryIO, size: int
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Storages behind the pickles: a count of eight bytes, then the numbers."""
    types = {row[1]: row[2] for row in rows.rows if row[0] == "s"}
    place = layout.tail
    for key in (rows.plain(row) for row in rows.elements(keys)):
        file.seek(place)
        count = int.from_bytes(file.read(8), "little")
        width = WIDTHS.get(types.get(key) or "")
        if width is None or place + 8 + count * width > size:
            raise Damaged("lacks some of the numbers that it names")
        yield key, (place + 8, count * width)
        place += 8 + count * width

"""Zips: a directory that does not lie, members that stay inside, and no bombs.

Readers of zips trust different parts of it: the directory at the end, or the header before each
member. Where the two differ, a scanner sees one file and a loader another. So both are read.
"""

import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import BinaryIO

from anomech.artefacts.stored import shown

END = 2**16 + 22
"""Bytes at the end in which a zip has its directory's place."""

MOST_DIRECTORY = 2**25
"""Bytes of a directory (32 MiB)."""

MOST_MEMBERS = 2**17

RATIO = 200
"""Bytes that one packed byte may become; text packs to a tenth."""

LARGE = 2**30
"""Bytes that all members may become, if a packed zip is smaller (1 GiB)."""

DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, ValueError),
    *(NotImplementedError, RuntimeError, EOFError),
)
"""What Python's reader of zips raises for damaged or unusual ones."""

_DRIVE = re.compile(r"[A-Za-z]:")


def opened_zip(file: BinaryIO) -> zipfile.ZipFile | None:
    """A zip with a directory of bounded size; None if it is damaged or has none."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - END))
    tail = file.read(END)
    place = tail.rfind(b"PK\x05\x06")
    head = tail[place : place + 22]
    if place < 0 or len(head) < 22 or int.from_bytes(head[12:16], "little") > MOST_DIRECTORY:
        return None
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGED:
        return None
    return archive if len(archive.infolist()) <= MOST_MEMBERS else None


def leads_out(name: str) -> bool:
    """Whether the name of a member leads out of the folder that it is unpacked into."""
    plain = name.replace("\\", "/")
    return plain.startswith("/") or ".." in PurePosixPath(plain).parts or bool(_DRIVE.match(plain))


def zip_problems(file: BinaryIO, archive: zipfile.ZipFile, size: int) -> Iterator[tuple[str, str]]:
    """Codes of rules that a zip breaks, each with what was seen, the first of each kind.

    Args:
        file: the file of the archive.
        archive: opened.
        size: bytes of the file.
    """
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if out := next((name for name in names if leads_out(name)), None):
        yield "path-out", f"Its member '{shown(out)}' would be unpacked outside of the folder."
    linked = (info for info in infos if stat.S_ISLNK(info.external_attr >> 16))
    if link := next(linked, None):
        yield "archive-link", f"Its member '{shown(link.filename)}' is a link."
    twice, often = Counter(names).most_common(1)[0] if names else ("", 0)
    if often > 1:
        yield "ambiguous-archive", f"Several of its members are named '{shown(twice)}'."
    if any(info.flag_bits & 1 for info in infos):
        yield "locked-archive", "Its members are encrypted, so that nobody can look into them."
    yield from _bombs(infos, size)
    yield from _headers(file, infos)


def _bombs(infos: Sequence[zipfile.ZipInfo], size: int) -> Iterator[tuple[str, str]]:
    total = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if packed > size:
        yield "ambiguous-archive", f"Its members have {packed} bytes in a file of {size}."
    elif total > max(LARGE, 4 * size) or (total > 2**24 and total > RATIO * size):
        yield "archive-bomb", f"A file of {size} bytes would be unpacked to {total}."


def _headers(file: BinaryIO, infos: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Where the header before a member says something else than the directory."""
    behind = 0
    for info in sorted(infos, key=lambda each: each.header_offset):
        file.seek(max(0, info.header_offset))  # a directory that is moved gives negative places
        head = file.read(30)
        if info.header_offset < 0 or len(head) < 30 or head[:4] != b"PK\x03\x04":
            yield "ambiguous-archive", f"'{shown(info.filename)}' is not where the directory says."
            return
        flags, method = struct.unpack("<HH", head[6:10])
        length, extra = struct.unpack("<HH", head[26:30])
        own = file.read(length)
        if own != _raw_name(info) or method != info.compress_type or (flags ^ info.flag_bits) & 1:
            yield (
                "ambiguous-archive",
                f"The directory names '{shown(info.filename)}', the member itself says otherwise.",
            )
            return
        if info.header_offset < behind:
            yield "ambiguous-archive", f"'{shown(info.filename)}' overlaps another member."
            return
        behind = info.header_offset + 30 + length + extra + info.compress_size


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    try:
        return info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437")
    except UnicodeEncodeError:
        return b""


def hidden_zip(file: BinaryIO) -> bool:
    """Whether a file that does not begin as a zip can be opened as one all the same."""
    found = opened_zip(file) is not None
    file.seek(0)
    return found

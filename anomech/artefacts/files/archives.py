"""Archives: how they are made up, and what lies in them, a few archives deep.

Members are unpacked one at a time into a nameless temporary file, never by their names, and no more
of them than an allowance says: whoever packs a bomb is told so.
"""

import bz2
import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.tars import DamagedTar, members
from anomech.artefacts.files.zips import DAMAGED, leads_out, opened_zip, zip_problems
from anomech.artefacts.stored import shown

BLOCK = 2**20

OPENERS: tuple[tuple[bytes, Callable[[BinaryIO], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
)
"""Packed files that are unpacked, by how they begin; those of xz can ask for gigabytes."""


@dataclass
class Allowance:
    """What may still be unpacked while one file is looked at; it is used up.

    Attributes:
        bytes: of all members together.
        depth: archives inside of archives.
        members: that are looked into.
    """

    bytes: int = 2**29
    depth: int = 3
    members: int = 5000


Look = Callable[[BinaryIO, str, int, Allowance], list[Issue]]
"""Issues of a file by what it is: the file, its name, its size, and what may be unpacked."""


class UsedUp(Exception):
    """More would be unpacked than is allowed."""


def check_zip(
    file: BinaryIO, name: str, size: int, allowance: Allowance, look: Look | None
) -> list[Issue]:
    """Issues of a zip, and of what lies in it if `look` is given."""
    archive = opened_zip(file)
    if archive is None:
        return [issue("damaged-archive", name, "Its directory cannot be read.")]
    with archive:
        found = [issue(code, name, said) for code, said in zip_problems(file, archive, size)]
        if look is None or any(each.code in ("archive-bomb", "locked-archive") for each in found):
            return found
        return found + _inside(_zipped(archive), name, allowance, look)


def check_tar(
    file: BinaryIO, name: str, size: int, allowance: Allowance, look: Look
) -> list[Issue]:
    """Issues of a tar, and of what lies in it."""
    found: list[Issue] = []
    try:
        for each in members(file):
            if leads_out(each.name):
                said = f"Its member '{shown(each.name)}' would be unpacked outside of the folder."
                found.append(issue("path-out", name, said))
            if each.kind == "link":
                to = f"'{shown(each.name)}' leads to '{shown(each.target)}'"
                found.append(issue("archive-link", name, f"Its member {to}."))
            if each.kind == "device":
                said = f"Its member '{shown(each.name)}' is a device or pipe."
                found.append(issue("special-file", name, said))
            if each.begin + each.size > size:
                raise DamagedTar(f"ends in the middle of '{shown(each.name)}'")
        found += _inside(_tarred(file, size), name, allowance, look)
    except DamagedTar as error:
        found.append(issue("damaged-archive", name, f"It {error}."))
    return _first_of_each(found)


def check_packed(
    file: BinaryIO, name: str, size: int, allowance: Allowance, look: Look
) -> list[Issue]:
    """Issues of what a packed file, such as one of gzip, unpacks to."""
    head = file.read(8)
    file.seek(0)
    opener = next((each for mark, each in OPENERS if head.startswith(mark)), None)
    if opener is None:
        return [issue("unread-archive", name, "It is packed in a way that is not unpacked here.")]

    def unpacked() -> Iterator[tuple[str, IO[bytes]]]:
        with opener(file) as stream:
            yield name.rpartition("/")[2].rpartition(".")[0] or "content", stream

    return _inside(unpacked(), name, allowance, look)


def _inside(
    found: Iterator[tuple[str, IO[bytes]]], name: str, allowance: Allowance, look: Look
) -> list[Issue]:
    """Issues of members, named by the archive and their own name."""
    if allowance.depth <= 0:
        return [issue("deep-archive", name, "It was not looked into.")]
    allowance.depth -= 1
    issues: list[Issue] = []
    try:
        for member, stream in found:
            allowance.members -= 1
            if allowance.members < 0:
                raise UsedUp
            with _copied(stream, allowance) as (copy, size):
                issues += look(copy, f"{name}!{member}", size, allowance)
    except UsedUp:
        said = "It was looked into only in part, because it would be unpacked to very much."
        issues.append(issue("archive-bomb", name, said))
    except (*DAMAGED, zlib.error) as error:
        said = f"It cannot be unpacked ({type(error).__name__})."
        issues.append(issue("damaged-archive", name, said))
    finally:
        allowance.depth += 1
    return issues


@contextmanager
def _copied(stream: IO[bytes], allowance: Allowance) -> Iterator[tuple[BinaryIO, int]]:
    """What a stream gives, in a nameless file, and its size.

    Raises:
        UsedUp: it is more than is allowed.
    """
    with tempfile.TemporaryFile() as copy:
        while block := stream.read(BLOCK):
            allowance.bytes -= len(block)
            if allowance.bytes < 0:
                raise UsedUp
            copy.write(block)
        size = copy.tell()
        copy.seek(0)
        yield cast(BinaryIO, copy), size


def _zipped(archive: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in archive.infolist():
        if not info.is_dir():
            with archive.open(info) as stream:
                yield info.filename, stream


class _Part:
    """Part of a file as a stream."""

    def __init__(self, file: BinaryIO, begin: int, size: int) -> None:
        self.file, self.place, self.left = file, begin, size

    def read(self, most: int) -> bytes:
        self.file.seek(self.place)
        block = self.file.read(min(most, self.left))
        self.place, self.left = self.place + len(block), self.left - len(block)
        return block


def _tarred(file: BinaryIO, size: int) -> Iterator[tuple[str, IO[bytes]]]:
    for each in members(file):
        if each.kind == "file":
            yield each.name, cast(IO[bytes], _Part(file, each.begin, each.size))


def _first_of_each(found: list[Issue]) -> list[Issue]:
    """The first issue of each code at each place: a thousand links are one thing to say."""
    known: dict[tuple[str, str], Issue] = {}
    for each in found:
        known.setdefault((each.code, each.where), each)
    return list(known.values())

"""Tars, read header by header with bounded means: names that lead out, links, devices.

Python's own reader keeps what a header claims in memory; this one keeps 64 KiB of a long name at
the most. Old, POSIX (ustar, pax) and GNU headers are understood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
MOST_MEMBERS = 100_000
MOST_NAME = 2**16


@dataclass(frozen=True)
class Member:
    """One member.

    Attributes:
        name: as it would be unpacked.
        kind: "file", "link", "folder" or "device".
        target: of a link.
        begin: first byte of its content in the tar.
        size: bytes.
    """

    name: str
    kind: str
    target: str
    begin: int
    size: int


class DamagedTar(Exception):
    """A tar that cannot be followed to its end."""


def members(file: BinaryIO) -> Iterator[Member]:
    """Members of a tar, in order.

    Raises:
        DamagedTar: a header is none, or there are too many.
    """
    place, long = 0, dict[str, str]()
    for _ in range(MOST_MEMBERS):
        file.seek(place)
        head = file.read(BLOCK)
        if len(head) < BLOCK or not head.strip(b"\0"):
            return
        size, flag = _number(head[124:136]), head[156:157]
        begin = place + BLOCK
        place = begin + (size + BLOCK - 1) // BLOCK * BLOCK
        if flag in (b"L", b"K"):
            text = file.read(min(size, MOST_NAME)).split(b"\0", 1)[0].decode("utf-8", "replace")
            long["path" if flag == b"L" else "linkpath"] = text
            continue
        if flag in (b"x", b"g"):
            long |= _pax(file.read(min(size, MOST_NAME)))
            continue
        yield _member(head, flag, long, begin, size)
        long = {}
    raise DamagedTar(f"has more than {MOST_MEMBERS} members")


def _member(head: bytes, flag: bytes, long: dict[str, str], begin: int, size: int) -> Member:
    prefix = _text(head[345:500]) if head[257:262] == b"ustar" and head[263:265] == b"00" else ""
    name = long.get("path") or "/".join(filter(None, (prefix, _text(head[:100]))))
    target = long.get("linkpath") or _text(head[157:257])
    kind = "file"
    if flag in (b"1", b"2"):
        kind = "link"
    elif flag in (b"3", b"4", b"6"):
        kind = "device"
    elif flag == b"5":
        kind = "folder"
    return Member(name, kind, target if kind == "link" else "", begin, size)


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise DamagedTar("has a header that is none") from None


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _pax(data: bytes) -> dict[str, str]:
    """Names in pax records, `length key=value`; what cannot be read is passed over."""
    found = {}
    while data:
        count, _, _ = data.partition(b" ")
        if not count.isdigit() or not 0 < int(count[:8]) <= len(data):
            break
        record = data[len(count) + 1 : int(count)].rstrip(b"\n")
        key, _, value = record.partition(b"=")
        if key in (b"path", b"linkpath"):
            found[key.decode()] = value.decode("utf-8", "replace")
        data = data[int(count) :]
    return found

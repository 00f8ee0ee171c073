"""Headers of safetensors files, read strictly: every byte is accounted for, once.

The format is a length, a JSON header and the tensors' bytes (huggingface.co/docs/safetensors). The
usual reader is strict too; others are not, and a file that two readers take differently is no file
to trust.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from anomech.artefacts.files.reading import Unreadable, parsed
from anomech.artefacts.stored import shown

MOST_HEADER = 2**24
"""Bytes of a header (16 MiB); one of ten thousand tensors has a tenth."""

BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}
"""Bits a number of each type."""

LARGEST = 2**48
"""Numbers of one tensor."""

MOST_SIDES = 16


@dataclass(frozen=True)
class Stored:
    """One tensor of a file.

    Attributes:
        kind: its type, as the header calls it.
        shape: its sides.
        begin: first byte behind the header.
        end: the byte behind its last.
    """

    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        tensors: by name.
        metadata: texts by name.
        start: first byte of the tensors in the file.
    """

    tensors: Mapping[str, Stored]
    metadata: Mapping[str, str]
    start: int


def read_header(file: BinaryIO, size: int) -> Header:
    """Read a header; that its tensors fit together is `problems`' business.

    Raises:
        Unreadable: it is none, or larger than is read.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > min(MOST_HEADER, size - 8):
        raise Unreadable(f"claims a header of {length} bytes in a file of {size}")
    found = parsed(file.read(length))
    if not isinstance(found, dict):
        raise Unreadable("has a header that is no mapping")
    metadata = found.pop("__metadata__", {})
    if not isinstance(metadata, dict) or any(not isinstance(v, str) for v in metadata.values()):
        raise Unreadable("has metadata that are no texts")
    return Header({name: _stored(name, row) for name, row in found.items()}, metadata, 8 + length)


def _stored(name: str, row: Any) -> Stored:
    try:
        kind, shape, (begin, end) = row["dtype"], row["shape"], row["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise Unreadable(f"describes '{shown(name, 40)}' in a way that is none") from None
    whole = [*shape, begin, end] if isinstance(shape, list) else [None]
    if kind not in BITS or any(type(n) is not int or n < 0 for n in whole):
        raise Unreadable(f"gives '{shown(name, 40)}' a type, shape or place that cannot be")
    if len(shape) > MOST_SIDES or max(shape, default=0) > LARGEST:
        raise Unreadable(f"gives '{shown(name, 40)}' a shape that no tensor has")
    return Stored(kind, tuple(shape), begin, end)


def problems(header: Header, size: int) -> Iterator[str]:
    """What does not fit together, each as the end of "It ..."; the first of each kind."""
    for name, each in header.tensors.items():
        bits = math.prod(each.shape) * BITS[each.kind]
        if bits != 8 * (each.end - each.begin):
            yield (
                f"gives '{shown(name, 40)}' {each.end - each.begin} bytes, and its shape and type "
                f"take {bits // 8}"
            )
            break
    place = 0
    for name, each in sorted(header.tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if each.begin != place:
            what = "overlap" if each.begin < place else "leave bytes between them"
            yield f"has tensors that {what} (at '{shown(name, 40)}')"
            break
        place = each.end
    else:
        if header.start + place != size:
            more = size - header.start - place
            yield (
                f"has {more} bytes behind its tensors that belong to none"
                if more > 0
                else f"lacks {-more} bytes of its tensors"
            )


def check_safetensors(file: BinaryIO, size: int) -> tuple[Header | None, list[str]]:
    """The header of a file, if it can be read, and what is wrong, each as the end of "It ..."."""
    try:
        header = read_header(file, size)
    except Unreadable as error:
        return None, [str(error)]
    return header, list(problems(header, size))

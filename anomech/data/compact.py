"""Ids and digests of very many examples in little memory: texts that are made when asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import numpy as np

from anomech.kernel.errors import DataError

DIGEST = 16
"""Bytes of a digest."""


@dataclass(frozen=True, eq=False)
class Texts(Sequence[str]):
    """A sequence of texts that holds none of them; equal to any sequence of the same texts.

    Attributes:
        size: how many there are.
        make: gives the text at a place from 0 to `size - 1`.
    """

    size: int
    make: Callable[[int], str]

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self.make(place) for place in range(self.size)[index])
        return self.make(range(self.size)[index])

    def __iter__(self) -> Iterator[str]:
        return map(self.make, range(self.size))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def numbered(count: int) -> Texts:
    """Numbers from 0 with leading zeros."""
    return Texts(count, f"{{:0{len(str(count - 1))}d}}".format)


def packed(texts: Iterable[Any]) -> Texts:
    """Texts kept as one run of bytes.

    Raises:
        DataError: one of them is empty or no text.
    """
    blob, ends = bytearray(), [np.zeros(1, np.int64)]
    for block in _blocks(texts):
        if any(not isinstance(text, str) or not text for text in block):
            raise DataError(
                "Ids must be text that is not empty; leave them out to number the images."
            )
        coded = [text.encode("utf-8", "surrogateescape") for text in block]
        blob += b"".join(coded)
        ends.append(ends[-1][-1] + np.cumsum([len(text) for text in coded]))
    bounds = np.concatenate(ends)
    return Texts(len(bounds) - 1, partial(_unpacked, bytes(blob), bounds))


def selected(texts: Sequence[str], places: np.ndarray) -> Texts:
    """The texts at some places `[n]`, in their order."""
    return Texts(len(places), partial(_selected, texts, places))


def repeated(texts: Sequence[str]) -> str | None:
    """A text that comes more than once, the most frequent one; None if all are unique."""
    # Eight bytes a text are sorted instead of keeping all texts in a dictionary.
    hashes = np.sort(np.fromiter(map(hash, texts), np.int64, len(texts)))
    suspects = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    if not suspects:
        return None
    text, comes = Counter(text for text in texts if hash(text) in suspects).most_common(1)[0]
    return text if comes > 1 else None


@dataclass(frozen=True, eq=False)
class DigestTable:
    """Digests of the rows of a source, as far as they are known; it is filled in place.

    Attributes:
        values: uint8 `[rows, 16]`.
        known: bool `[rows]`.
    """

    values: np.ndarray
    known: np.ndarray

    @classmethod
    def empty(cls, rows: int) -> "DigestTable":
        """A table of which nothing is known yet."""
        return cls(np.zeros((rows, DIGEST), np.uint8), np.zeros(rows, bool))

    def fill(self, rows: np.ndarray, digests: Sequence[bytes]) -> None:
        """Enter the digests of some rows `[n]`."""
        self.values[rows] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST)
        self.known[rows] = True

    def texts(self, rows: np.ndarray) -> Texts:
        """Digests of some rows `[n]` as hexadecimal texts."""
        return Texts(len(rows), partial(_hexadecimal, self.values, rows))


def _blocks(texts: Iterable[Any], size: int = 4096) -> Iterator[list[Any]]:
    block = []
    for text in texts:
        block.append(text)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _unpacked(blob: bytes, bounds: np.ndarray, place: int) -> str:
    return blob[bounds[place] : bounds[place + 1]].decode("utf-8", "surrogateescape")


def _selected(texts: Sequence[str], places: np.ndarray, place: int) -> str:
    return texts[int(places[place])]


def _hexadecimal(values: np.ndarray, rows: np.ndarray, place: int) -> str:
    return values[rows[place]].tobytes().hex()

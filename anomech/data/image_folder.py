"""A folder of image files as a source of pixels, with the files decoded where and when needed."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from anomech.data.compact import Texts
from anomech.data.fitting import AS_IS, Fit
from anomech.data.image_files import Files, decode_files, measure_files
from anomech.data.image_search import Found
from anomech.data.remarks import Counted, FileRemark
from anomech.data.workers import in_order
from anomech.kernel.errors import DataError, shortened
from anomech.kernel.types import Progress

PIECE = 256
"""Files that one worker measures at once."""

FEW = 2**14
"""Files up to which starting worker processes costs more than it saves: half a second each time,
where decoding a small picture takes 0.1 ms."""

AHEAD = 2**17
"""Bytes of one image, times pieces that are decoded ahead: 128 MiB in pieces of 1,024 images."""


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Image files of one size; calling it gives the pixels of rows.

    Attributes:
        root: the folder.
        names: of the files, relative to it.
        shape: height, width and channels (1 or 3) of every image, once it is brought to size.
        fit: how it is.
    """

    root: Path
    names: Sequence[str]
    shape: tuple[int, int, int]
    fit: Fit = AS_IS

    @property
    def ids(self) -> Texts:
        """The names as text that can be written anywhere."""
        return Texts(len(self.names), partial(_printable, self.names))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Pixels uint8 `[k, h, w, c]` at `rows` `[k]`."""
        return decode_files(self.shape, self._files(rows))

    def stream(self, pieces: Iterable[np.ndarray], workers: int) -> Iterator[np.ndarray]:
        """Pixels of each piece of rows, decoded ahead by worker processes if there are many."""
        workers = workers if len(self.names) > FEW else 0
        files = (self._files(rows) for rows in pieces)
        return in_order(partial(decode_files, self.shape), files, workers, self._ahead(workers))

    def _files(self, rows: np.ndarray) -> Files:
        return Files(self.root, [self.names[row] for row in rows], self.fit)

    def _ahead(self, workers: int) -> int:
        """Pieces to decode ahead: two a worker, but one where images are large."""
        return max(1, min(2 * workers, AHEAD // math.prod(self.shape)))


def measured(
    root: Path,
    found: Found,
    channels: int | None,
    fit: Fit,
    progress: Progress,
    workers: int,
) -> tuple[ImageFolder, tuple[FileRemark, ...]]:
    """Measure image files; only headers are read.

    Args:
        root: the folder.
        found: its images.
        channels: 1 for grey, 3 for color; None takes what most images have (color at a tie).
        fit: how images are brought to size.
        progress: told how many files have been measured.
        workers: processes that measure.

    Returns:
        The files, and remarks on them.

    Raises:
        DataError: images of different sizes, or a damaged file.
    """
    names, counted = found.names, Counted()
    starts = range(0, len(names), PIECE)
    pieces = (Files(root, names[start : start + PIECE]) for start in starts)
    workers = workers if len(names) > FEW else 0
    size, grey = (0, 0), 0
    for start, sizes in zip(
        starts, in_order(measure_files, pieces, workers, 4 * workers), strict=True
    ):
        for place, other in enumerate(sizes, start):
            fitted = fit.size(other.height, other.width, names[place])
            size = size if place else fitted
            if fitted != size:
                raise DataError(_uneven(names[0], size, names[place], fitted))
            grey += other.channels == 1
            if other.turned:
                counted.add(TURNED, names[place], judged=True, picture=True)
        progress("reading images", start + len(sizes), len(names))
    if channels is None:
        channels = 1 if 2 * grey > len(names) else 3
    return ImageFolder(root, names, (*size, channels), fit), counted.remarks()


TURNED = "whose metadata ask to turn them; pixels are taken as stored"


def _uneven(first: str, size: tuple[int, int], other: str, found: tuple[int, int]) -> str:
    return (
        f"all images must have one size, but {shortened(first)} is {size[1]} x {size[0]} and "
        f"{shortened(other)} is {found[1]} x {found[0]}; scale them to the size the model takes, "
        "for instance with --resize and --crop."
    )


def _printable(names: Sequence[str], place: int) -> str:
    """A file name as text; bytes that are no UTF-8 become escapes, so that it can be written."""
    return names[place].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

"""Images as examples, from arrays in memory or from whatever gives rows; files: see `reading`.

Files are read and decoded a batch at a time, so that memory does not grow with the number of
images. A batch is uint8 `[batch, h, w, c]`; scaling and normalization are the task's business.
"""

import hashlib
import io
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from typing import Any

import numpy as np
from PIL import Image

from anomech.data.array_layouts import Converted, checked_bytes, layout_of
from anomech.data.compact import DIGEST, DigestTable, Texts, selected
from anomech.data.fitting import AS_IS, Fit
from anomech.data.image_checks import checked_ids, checked_labels, frozen
from anomech.data.image_files import to_channels
from anomech.data.image_folder import ImageFolder
from anomech.data.remarks import FileRemark
from anomech.kernel.errors import DataError
from anomech.kernel.types import About, Preview

CHUNK = 256
"""Images held at once while all of them are hashed."""


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """Images of one size, in order. Made by `from_arrays` and `reading.read_images`.

    Attributes:
        ids: unique names, in order.
        shape: height, width and channels (1 or 3) of every image.
        labels: int64 `[n]`, or None.
        class_names: what the labels stand for if folders said so, else None.
        pixels: gives uint8 `[k, h, w, c]` for rows `[k]` of the source.
        rows: the row of the source of each example, int64 `[n]`.
        known: digests by row of the source, shared with every selection of the same source.
        remarks: what was noticed when they were read.
    """

    ids: Sequence[str]
    shape: tuple[int, int, int]
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    pixels: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    rows: np.ndarray = field(repr=False)
    known: DigestTable = field(repr=False)
    remarks: tuple[FileRemark, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, indices: np.ndarray) -> np.ndarray:
        """Pixels uint8 `[k, h, w, c]` of the examples at `indices` `[k]`.

        Raises:
            DataError: an image file is damaged, or was changed since the folder was read.
        """
        return self.pixels(self.rows[np.asarray(indices, dtype=np.int64)])

    def take(self, indices: Any) -> "ImageExamples":
        """The examples at `indices` (integers, a mask or a slice), in that order.

        Raises:
            DataError: an index is out of range or comes twice.
        """
        try:
            chosen = np.arange(len(self))[_indices(indices)]
        except IndexError:
            raise DataError(
                f"There are {len(self)} images, and the selection asks for others; use indices "
                f"from 0 to {len(self) - 1}."
            ) from None
        if len(np.unique(chosen)) != len(chosen):
            raise DataError("The selection names an image twice; name each image once.")
        return ImageExamples(
            ids=selected(self.ids, chosen),
            shape=self.shape,
            labels=None if self.labels is None else frozen(self.labels[chosen]),
            class_names=self.class_names,
            pixels=self.pixels,
            rows=self.rows[chosen],
            known=self.known,
            remarks=self.remarks,
        )

    def stream(
        self, pieces: Iterable[np.ndarray], workers: int = 0
    ) -> Generator["ImageExamples", None, None]:
        """The examples at each piece of indices `[k]`, in memory, in the order of the pieces.

        Args:
            pieces: taken as they are needed.
            workers: processes that decode image files ahead; 0 decodes here.

        Raises:
            DataError: an image is damaged or changed, or a worker ended.
        """
        first, second = tee(pieces)
        rows = (self.rows[piece] for piece in first)
        batches = (
            self.pixels.stream(rows, workers)
            if isinstance(self.pixels, ImageFolder)
            else map(self.pixels, rows)
        )
        for piece, batch in zip(second, batches, strict=True):
            own = self.rows[piece]
            yield ImageExamples(
                ids=tuple(self.ids[place] for place in piece),
                shape=self.shape,
                labels=None,
                class_names=None,
                pixels=batch.__getitem__,
                rows=np.arange(len(piece)),
                known=DigestTable(self.known.values[own], self.known.known[own]),
            )

    def digests(self) -> Texts:
        """BLAKE2b of shape and pixels, in order; equal pictures agree whatever file held them."""
        self.hash()
        return self.known.texts(self.rows)

    def hash(self, workers: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
        """Make all digests known; every image is read.

        Args:
            workers: processes that decode image files; 0 decodes here.
            progress: told how many images are hashed, of how many.

        Raises:
            DataError: an image is damaged.
        """
        missing = np.flatnonzero(~self.known.known[self.rows])
        pieces = np.split(missing, range(CHUNK, len(missing), CHUNK)) if len(missing) else []
        done = len(self) - len(missing)
        with closing(self.stream(pieces, workers)) as stream:
            for piece, held in zip(pieces, stream, strict=True):
                images = held.load(held.rows)
                self.known.fill(self.rows[piece], [_digest(image) for image in images])
                done += len(piece)
                if progress is not None:
                    progress(done, len(self))

    def about(self) -> About:
        """Height, width and channels under "shape", and names under "classes" if there are any."""
        shape = tuple(str(side) for side in self.shape)
        return {"shape": shape} | ({"classes": self.class_names} if self.class_names else {})

    def preview(self, index: int) -> Preview:
        """The image as PNG, at its own size."""
        return picture(self.load(np.array([index]))[0])


def picture(image: np.ndarray) -> Preview:
    """An image, uint8 `[h, w, c]` with 1 or 3 channels, as PNG at its own size."""
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
    return Preview("image", stream.getvalue())


def from_arrays(images: Any, labels: Any = None, ids: Sequence[str] | None = None) -> ImageExamples:
    """Examples from arrays in memory.

    Args:
        images: uint8 `[n, h, w, c]` with 1 or 3 channels, or in a layout that
            `anomech.data.array_layouts` knows; not copied.
        labels: class numbers from 0, `[n]` or `[n, 1]`.
        ids: unique names `[n]`; numbers with leading zeros if not given.

    Raises:
        DataError: a wrong type, shape or length, or names that repeat.
    """
    images = checked_bytes(np.asarray(images))
    return of_source(frozen(images).__getitem__, images.shape, labels, ids)


def of_source(
    pixels: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, ...],
    labels: Any,
    ids: Sequence[str] | None,
    *,
    channels: int | None = None,
    fit: Fit = AS_IS,
    remarks: tuple[FileRemark, ...] = (),
) -> ImageExamples:
    """Examples from whatever gives rows of an array of images.

    Args:
        pixels: gives uint8 `[k, ...]` for rows `[k]`.
        shape: of the whole array.
        labels: class numbers from 0, `[n]` or `[n, 1]`, or None.
        ids: unique names `[n]`, or None for numbers.
        channels: 1 or 3 to convert to; None keeps what there is.
        fit: how images are brought to size.
        remarks: of the reader.

    Raises:
        DataError: a wrong shape or length, or names that repeat.
    """
    layout = layout_of(shape)
    count, height, width, found = layout.shape
    steps = layout.steps
    if channels is not None and channels != found:
        steps += (partial(to_channels, channels=channels),)
    if fit != AS_IS:
        height, width = fit.size(height, width, "the array")
        steps += (fit.batch,)
    if layout.remark:
        remarks += (FileRemark(layout.remark, count, "the array", judged=True, picture=True),)
    return ImageExamples(
        ids=checked_ids(ids, count),
        shape=(height, width, channels or found),
        labels=checked_labels(labels, count),
        class_names=None,
        pixels=Converted(pixels, steps) if steps else pixels,
        rows=np.arange(count),
        known=DigestTable.empty(count),
        remarks=remarks,
    )


def _indices(indices: Any) -> Any:
    if isinstance(indices, slice):
        return indices
    chosen = np.asarray(indices)
    return chosen if chosen.size else chosen.astype(np.int64)


def _digest(image: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()

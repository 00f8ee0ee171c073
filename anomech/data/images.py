"""Images as examples: arrays in memory, `.npz` files and folders of image files.

Folders are decoded a batch at a time, so memory does not grow with the number of files. A batch
is uint8 `[batch, h, w, c]`; scaling and normalization are the task's business.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from anomech.data.image_archives import read_npz
from anomech.data.image_files import decode, find_images, measure, to_channels
from anomech.errors import DataError
from anomech.types import Preview, Progress, silent

DECODERS = 4
"""Threads that decode the files of one batch."""

CHUNK = 256
"""Images held at once while all of them are hashed or measured."""


@dataclass(frozen=True, eq=False)
class ImageExamples:
    """Images of one size, in order. Made by `from_arrays` and `read_images`.

    Attributes:
        ids: unique names, in order.
        shape: height, width and channels (1 or 3) of every image.
        labels: int64 `[n]`, or None.
        class_names: what the labels stand for if folders said so, else None.
        pixels: gives uint8 `[k, h, w, c]` for rows `[k]` of the source.
        rows: the row of the source of each example, int64 `[n]`.
        known: digests by row of the source, shared with every selection of the same source.
    """

    ids: tuple[str, ...]
    shape: tuple[int, int, int]
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    pixels: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    rows: np.ndarray = field(repr=False)
    known: dict[int, str] = field(repr=False, default_factory=dict)

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
            ids=tuple(self.ids[index] for index in chosen),
            shape=self.shape,
            labels=None if self.labels is None else _frozen(self.labels[chosen]),
            class_names=self.class_names,
            pixels=self.pixels,
            rows=self.rows[chosen],
            known=self.known,
        )

    def digests(self) -> tuple[str, ...]:
        """BLAKE2b of shape and pixels, in order; equal pictures agree whatever file held them."""
        missing = [row for row in self.rows.tolist() if row not in self.known]
        for start in range(0, len(missing), CHUNK):
            rows = missing[start : start + CHUNK]
            for row, image in zip(rows, self.pixels(np.array(rows)), strict=True):
                self.known[row] = _digest(image)
        return tuple(self.known[row] for row in self.rows.tolist())

    def preview(self, index: int) -> Preview:
        """The image as PNG, at its own size."""
        image = self.load(np.array([index]))[0]
        stream = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
        return Preview("image", stream.getvalue())


def from_arrays(images: Any, labels: Any = None, ids: Sequence[str] | None = None) -> ImageExamples:
    """Examples from arrays in memory.

    Args:
        images: uint8 `[n, h, w, c]` with 1 or 3 channels, or grey `[n, h, w]`; not copied.
        labels: class numbers from 0, `[n]`.
        ids: unique names `[n]`; numbers with leading zeros if not given.

    Raises:
        DataError: a wrong type, shape or length, or names that repeat.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise DataError(
            f"Images must be uint8 from 0 to 255, not {images.dtype}; convert them, for example "
            "with (images * 255).round().astype('uint8') if they lie between 0 and 1."
        )
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            "Images must be [n, h, w, c] with 1 or 3 channels last and nothing empty, not "
            f"{list(images.shape)}; move the channels to the end."
        )
    height, width, channels = (int(side) for side in images.shape[1:])
    return ImageExamples(
        ids=_checked_ids(ids, len(images)),
        shape=(height, width, channels),
        labels=_checked_labels(labels, len(images)),
        class_names=None,
        pixels=_frozen(images).__getitem__,
        rows=np.arange(len(images)),
    )


def read_images(
    path: str | Path, *, channels: int | None = None, progress: Progress = silent
) -> ImageExamples:
    """Examples from a folder of class folders, a folder of images, or an `.npz` file.

    Args:
        path: what to read; see `anomech.data.image_files` for which files count.
        channels: 1 for grey, 3 for color; None takes what most images have (color at a tie).
        progress: told how many files have been measured.

    Raises:
        DataError: nothing there, no images, images of different sizes, or a damaged file.
    """
    path = Path(path)
    if channels not in (None, 1, 3):
        raise DataError(f"Images have 1 channel (grey) or 3 (color), not {channels}; choose one.")
    if path.is_dir():
        return _read_folder(path, channels, progress)
    if not path.exists():
        raise DataError(f"{path} does not exist; name a folder of images or an .npz file.")
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise DataError(f"{path.name} is not a folder or an .npz file; put images in a folder.")
    images, labels, ids = read_npz(path)
    if channels is not None and images.ndim == 4 and images.shape[3] in (1, 3):
        images = to_channels(images, channels)
    return from_arrays(images, labels, None if ids is None else ids.ravel().tolist())


def _read_folder(root: Path, channels: int | None, progress: Progress) -> ImageExamples:
    names, labels, class_names = find_images(root)
    sizes: list[tuple[int, int, int]] = []
    with ThreadPoolExecutor(DECODERS) as pool:
        for size in pool.map(partial(measure, root), names):
            sizes.append(size)
            if len(sizes) % CHUNK == 0 or len(sizes) == len(names):
                progress("reading images", len(sizes), len(names))
    height, width, _ = sizes[0]
    for name, other in zip(names, sizes, strict=True):
        if other[:2] != (height, width):
            raise DataError(
                f"All images must have one size, but {names[0]} is {width} x {height} and {name} "
                f"is {other[1]} x {other[0]}; scale them to the size the model takes."
            )
    if channels is None:
        grey = sum(size[2] == 1 for size in sizes)
        channels = 1 if 2 * grey > len(sizes) else 3
    shape = (height, width, channels)
    return ImageExamples(
        ids=_checked_ids([_printable(name) for name in names], len(names)),
        shape=shape,
        labels=_checked_labels(labels, len(names)),
        class_names=class_names,
        pixels=partial(_decode_rows, root, tuple(names), shape),
        rows=np.arange(len(names)),
    )


def _decode_rows(
    root: Path, names: tuple[str, ...], shape: tuple[int, int, int], rows: np.ndarray
) -> np.ndarray:
    batch = np.empty((len(rows), *shape), np.uint8)

    def fill(position: int) -> None:
        name = names[rows[position]]
        image = decode(root, name, shape[2])
        if image.shape != shape:
            raise DataError(f"{name} was changed while it was in use; start again.")
        batch[position] = image

    with ThreadPoolExecutor(DECODERS) as pool:
        for _ in pool.map(fill, range(len(rows))):
            pass
    return batch


def _checked_ids(ids: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if ids is None:
        digits = len(str(count - 1))
        return tuple(f"{number:0{digits}d}" for number in range(count))
    if any(not isinstance(name, str) or not name for name in ids):
        raise DataError("Ids must be text that is not empty; leave them out to number the images.")
    if len(ids) != count:
        raise DataError(f"There are {count} images but {len(ids)} ids; give one id an image.")
    repeated, comes = Counter(ids).most_common(1)[0]
    if comes > 1:
        raise DataError(f"The id '{repeated}' comes more than once; give every image its own id.")
    return tuple(ids)


def _checked_labels(labels: Any, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    try:
        given = np.asarray(labels)
    except ValueError:
        given = np.empty(0, object)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise DataError(
            f"Labels must be one integer an image, not {given.dtype} {list(given.shape)}; give "
            "class numbers from 0."
        )
    if len(given) != count:
        raise DataError(f"There are {count} images but {len(given)} labels; give one an image.")
    numbers = given.astype(np.int64)
    if numbers.min() < 0:
        raise DataError(
            f"Labels must not be negative, but one is {numbers.min()}; give class numbers from 0."
        )
    return _frozen(numbers)


def _indices(indices: Any) -> Any:
    if isinstance(indices, slice):
        return indices
    chosen = np.asarray(indices)
    return chosen if chosen.size else chosen.astype(np.int64)


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _digest(image: np.ndarray) -> str:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _printable(name: str) -> str:
    """A file name as text; bytes that are no UTF-8 become escapes, so that it can be written."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

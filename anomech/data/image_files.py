"""How an image file becomes pixels.

Pixels are taken as stored: the first frame, transparency dropped, and no rotation by metadata,
which most training code ignores too; such files are counted. (Pillow itself turns TIFF files.)
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from anomech.data.fitting import AS_IS, Fit
from anomech.kernel.errors import DataError, shortened

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""Decoders in use; a narrow list keeps a stranger's file away from the rarely used ones."""

MAX_PIXELS = 2**26
"""Largest accepted width times height of one image (8,192 x 8,192); more is refused unread."""

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")


class Measured(NamedTuple):
    """What the header of an image file says: its size, channels (1 or 3) and wish to be turned."""

    height: int
    width: int
    channels: int
    turned: bool


def measure(root: Path, name: str) -> Measured:
    """An image file by its header alone.

    Raises:
        DataError: the file is damaged or too large.
    """
    with _quiet(), _opened(root / name, name) as image:
        channels = 1 if image.mode in GREY_MODES else 3
        return Measured(image.height, image.width, channels, _turned(image))


def decode(root: Path, name: str, channels: int) -> np.ndarray:
    """Pixels uint8 `[h, w, channels]` of an image file.

    Raises:
        DataError: the file is damaged, too large or of an unknown depth.
    """
    image_of_one: np.ndarray = to_channels(decode_as_stored(root / name, name)[None], channels)[0]
    return image_of_one


def decode_as_stored(source: Path | BinaryIO, name: str) -> np.ndarray:
    """Pixels uint8 `[h, w, 1 or 3]` of an image file, which is called `name` in messages.

    Raises:
        DataError: the file is damaged, too large or of an unknown depth.
    """
    with _quiet(), _opened(source, name) as image:
        try:
            deep = ";16" in str(getattr(image, "tile", "")) or image.mode.startswith("I")
            pixels = _pixels(image)
            black = pixels is not None and deep and _is_dim(image, pixels)
        except Exception as error:  # decoders answer damaged files with any exception
            raise _unreadable(name, error) from None
    if pixels is None:
        raise DataError(
            f"{name} has pixels of mode {image.mode}, not 8 or 16 bits a channel; convert it to "
            "8-bit PNG."
        )
    if black:
        raise DataError(
            f"{shortened(name)} has 16 bits a channel but uses 12 of them at most, and would be "
            "black; scale its values to 8 bits."
        )
    return pixels


class Files(NamedTuple):
    """Some image files: a piece of work for one worker process."""

    root: Path
    names: Sequence[str]
    fit: Fit = AS_IS


def measure_files(files: Files) -> list[Measured]:
    """`measure` of each."""
    return [measure(files.root, name) for name in files.names]


def decode_files(shape: tuple[int, int, int], files: Files) -> np.ndarray:
    """Pixels uint8 `[n, h, w, c]` of files that were measured before.

    Raises:
        DataError: one is damaged, or has another size than it had.
    """
    batch = np.empty((len(files.names), *shape), np.uint8)
    for place, name in enumerate(files.names):
        image = files.fit(decode(files.root, name, shape[2]), name)
        if image.shape != shape:
            raise DataError(f"{name} was changed while it was in use; start again.")
        batch[place] = image
    return batch


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the decoders' warnings: a file is read, or refused in our words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(source: Path | BinaryIO, name: str) -> Image.Image:
    try:
        image = Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:  # decoders answer damaged files with any exception
        raise _unreadable(name, error) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(name)
    return image


def _is_dim(image: Image.Image, pixels: np.ndarray) -> bool:
    """Whether an image with 16 bits a channel uses 12 of them at most, but is not all black."""
    if image.mode.startswith("I"):
        return 0 < int(np.asarray(image).max()) < 4096
    return 0 < int(pixels.max()) < 16  # Pillow keeps the upper byte of color


def _turned(image: Image.Image) -> bool:
    """Whether metadata at hand ask for the picture to be turned; a TIFF is turned by Pillow."""
    if image.format == "TIFF" or "exif" not in image.info:
        return False
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
    except Exception:  # damaged metadata, which decide nothing
        return False


def _pixels(image: Image.Image) -> np.ndarray | None:
    """Pixels uint8 `[h, w, 1 or 3]`; None if the mode has no plain 8-bit meaning."""
    if image.mode == "F":
        return None
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.size and (wide.min() < 0 or wide.max() > 65535):
            return None
        return (wide >> 8).astype(np.uint8)[..., None]  # 257 k becomes k again
    if image.mode in GREY_MODES:
        return np.array(image.convert("L"), np.uint8)[..., None]
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # a transparent palette loses colors on the direct way
    return np.array(image.convert("RGB"), np.uint8)


def to_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Images uint8 `[n, h, w, c]` with 1 or 3 channels; grey is the Rec. 601 luma Pillow uses."""
    if images.shape[3] == channels:
        return images
    if channels == 3:
        return np.broadcast_to(images, (*images.shape[:3], 3))
    grey = np.empty((*images.shape[:3], 1), np.uint8)
    weights = np.array([19595, 38470, 7471], np.uint32)
    for start in range(0, len(images), 256):  # wide sums of a few images at a time
        luma = images[start : start + 256].astype(np.uint32) @ weights
        grey[start : start + 256, ..., 0] = (luma + 0x8000) >> 16
    return grey


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(
        f"{shortened(name)} is not a readable image ({type(error).__name__}); replace it or "
        "remove it."
    )


def _too_large(name: str) -> DataError:
    return DataError(
        f"{shortened(name)} claims more than {MAX_PIXELS} pixels; scale it to the size the model "
        "takes, or remove it."
    )

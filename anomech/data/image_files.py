"""Image files in folders: which files count, and how one becomes pixels.

The rules, chosen so that a folder means the same thing on every machine:

- Files and folders whose names begin with `.` or `__` are not looked at, nor are files without an
  image suffix.
- Classes are the sub-folders in sorted order, empty ones included; images may lie deeper.
- A symbolic link may point to a file inside the folder. One that leaves it, or that points to a
  folder, is refused.
- Pixels are taken as stored: the first frame, no rotation by metadata, transparency dropped.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from anomech.data.compact import Texts, packed
from anomech.kernel.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF")
"""Decoders in use; a narrow list keeps a stranger's file away from the rarely used ones."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".webp", ".tif", ".tiff"),
)

MAX_PIXELS = 2**26
"""Largest accepted width times height of one image (8,192 x 8,192); more is refused unread."""

GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")


def find_images(root: Path) -> tuple[Texts, np.ndarray | None, tuple[str, ...] | None]:
    """Image files under `root`, in a fixed order.

    Returns:
        Paths relative to `root` with forward slashes; the class of each; the class names. Both are
        None for a folder without class folders.

    Raises:
        DataError: no images, images both beside and inside sub-folders, or an unsafe link.
    """
    root = root.resolve()
    folders, loose = _entries(root, root)
    if loose:
        if any(True for folder in folders for _ in _walk(folder, root)):
            raise DataError(
                f"{root.name} holds images ({loose[0]}) beside class folders ({folders[0].name}); "
                "move the loose images away, or name one class folder."
            )
        return packed(loose), None, None
    sizes = [0] * len(folders)
    names = packed(_counted(folders, root, sizes))
    if not names:
        raise DataError(
            f"{root.name} holds no images ({', '.join(SUFFIXES[:3])}, ...); name a folder of "
            "images, a folder of class folders, or an .npz file."
        )
    return names, np.repeat(np.arange(len(folders)), sizes), tuple(each.name for each in folders)


def _counted(folders: Sequence[Path], root: Path, sizes: list[int]) -> Iterator[str]:
    for label, folder in enumerate(folders):
        for name in _walk(folder, root):
            sizes[label] += 1
            yield name


def _walk(folder: Path, root: Path) -> Iterator[str]:
    folders, names = _entries(folder, root)
    yield from names
    for inner in folders:
        yield from _walk(inner, root)


def _entries(folder: Path, root: Path) -> tuple[list[Path], list[str]]:
    """Sub-folders and relative image names of one folder, each sorted."""
    folders, names = [], []
    prefix = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__")):
                    continue
                is_image = os.path.splitext(entry.name)[1].lower() in SUFFIXES
                if entry.is_symlink() and (is_image or entry.is_dir()):
                    _check_link(Path(entry.path), root)
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif is_image and entry.is_file():  # not a pipe, which would block when opened
                    names.append(prefix + entry.name)
    except OSError as error:
        raise DataError(
            f"The folder {folder.name} cannot be listed ({error.strerror}); check its permissions."
        ) from None
    return sorted(folders), sorted(names)


def _check_link(path: Path, root: Path) -> None:
    try:
        safe = path.resolve().is_relative_to(root) and not path.is_dir()
    except (OSError, RuntimeError):  # links that go in a circle
        safe = False
    if not safe:
        raise DataError(
            f"{path.relative_to(root).as_posix()} is a link to a folder or out of {root.name}; "
            "replace it by a copy of what it points to."
        )


def measure(root: Path, name: str) -> tuple[int, int, int]:
    """Height, width and channels (1 or 3) of an image file, from its header alone.

    Raises:
        DataError: the file is damaged or too large.
    """
    with _opened(root / name, name) as image:
        return image.height, image.width, 1 if image.mode in GREY_MODES else 3


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
    with _opened(source, name) as image:
        try:
            pixels = _pixels(image)
        except Exception as error:  # decoders answer damaged files with any exception
            raise _unreadable(name, error) from None
    if pixels is None:
        raise DataError(
            f"{name} has pixels of mode {image.mode}, not 8 or 16 bits a channel; convert it to "
            "8-bit PNG."
        )
    return pixels


class Files(NamedTuple):
    """Some image files: a piece of work for one worker process."""

    root: Path
    names: Sequence[str]


def measure_files(files: Files) -> list[tuple[int, int, int]]:
    """`measure` of each."""
    return [measure(files.root, name) for name in files.names]


def decode_files(shape: tuple[int, int, int], files: Files) -> np.ndarray:
    """Pixels uint8 `[n, h, w, c]` of files that were measured before.

    Raises:
        DataError: one is damaged, or has another size than it had.
    """
    batch = np.empty((len(files.names), *shape), np.uint8)
    for place, name in enumerate(files.names):
        image = decode(files.root, name, shape[2])
        if image.shape != shape:
            raise DataError(f"{name} was changed while it was in use; start again.")
        batch[place] = image
    return batch


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
        f"{name} is not a readable image ({type(error).__name__}); replace it or remove it."
    )


def _too_large(name: str) -> DataError:
    return DataError(
        f"{name} claims more than {MAX_PIXELS} pixels; scale it to the size the model takes, or "
        "remove it."
    )

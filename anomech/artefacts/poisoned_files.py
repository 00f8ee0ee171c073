"""Image files that an attack result names by path, read only inside the folder beside it."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from anomech.kernel.errors import DataError
from anomech.storage.files import regular_file

FORMATS = ("PNG", "JPEG", "BMP")
"""Decoders in use; attack results are written as PNG."""

MAX_FILE = 2**24
"""Bytes of one image file (16 MiB)."""


def read_files(
    entries: Mapping[Any, Any],
    indices: np.ndarray,
    part: str,
    size: tuple[int, int, int],
    path: Path,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, attacker's labels and true labels of the entries at `indices`.

    Args:
        entries: by index, `{"path": ..., "other_info": [label, original label]}`.
        indices: which entries, int64 `[n]`.
        part: "bd_test" or "bd_train".
        size: height, width and channels that every image must have.
        path: the attack result; the images lie in the folder `{part}_dataset` beside it.

    Returns:
        Images uint8 `[n, h, w, c]`, labels int64 `[n]`, original labels int64 `[n]`.

    Raises:
        DataError: an entry is missing or malformed, or its path leaves the folder.
    """
    labels = np.empty((len(indices), 2), np.int64)
    files: dict[Path, None] = {}
    for position, index in enumerate(indices.tolist()):
        entry = entries.get(index)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str):
            raise DataError(
                f"Image {index} of '{part}' in {path.name} is not stored as a file; write the "
                "attack result with a save folder, so that images become PNG files beside it."
            )
        labels[position] = _labels(entry.get("other_info"), index, part, path)
        files[_placed(entry["path"], part, path)] = None
    if len(files) < len(indices):
        raise DataError(
            f"'{part}' in {path.name} names one image file for several images, which would fill "
            "memory from nothing; get the file again."
        )
    images = np.empty((len(indices), *size), np.uint8)
    for position, file in enumerate(files):
        images[position] = _read(file, size)
    return images, labels[:, 0].copy(), labels[:, 1].copy()


def _labels(info: object, index: int, part: str, path: Path) -> tuple[int, int]:
    numbers = info[:2] if isinstance(info, (list, tuple)) else ()
    if len(numbers) != 2 or any(type(n) is not int or not 0 <= n < 2**31 for n in numbers):
        raise DataError(
            f"Image {index} of '{part}' in {path.name} has no two labels; get the file again."
        )
    return numbers[0], numbers[1]


def _placed(stored: str, part: str, path: Path) -> Path:
    """The file that a stored path means: what follows the data folder's name, beside `path`.

    Stored paths begin at the author's working folder, so only their end has a meaning here.
    """
    folder = f"{part}_dataset"
    pieces = PurePosixPath(stored.replace("\\", "/")).parts
    shown = "".join(c if c.isprintable() else "?" for c in stored)[:120]
    if folder not in pieces:
        raise DataError(
            f"{path.name} names an image outside of {folder} ({shown}), which is not followed; get "
            "the file again."
        )
    start = len(pieces) - pieces[::-1].index(folder)
    suffix = pieces[start:]
    # The folder that the file was found in may lie behind links; the image folder may not be one.
    root = path.parent.resolve() / folder
    if root.is_symlink():
        raise DataError(
            f"{folder} beside {path.name} is a link, which is not followed; unpack the attack's "
            "folders there."
        )
    try:
        target = root.joinpath(*suffix).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a null in the name
        target = root
    if not suffix or ".." in suffix or target == root or not target.is_relative_to(root):
        raise DataError(
            f"{path.name} names an image that leaves {folder} ({shown}), which is not followed; "
            "do not trust this file."
        )
    if not target.is_file():
        raise DataError(
            f"{'/'.join((folder, *suffix))[:160]} is missing beside {path.name}; unpack the "
            "attack's folders there."
        )
    return target


def _read(path: Path, size: tuple[int, int, int]) -> np.ndarray:
    height, width, channels = size
    try:
        with regular_file(path, MAX_FILE) as file, Image.open(file, formats=FORMATS) as image:
            if image.size == (width, height):  # before decoding: the header may lie about less
                return np.array(image.convert("L" if channels == 1 else "RGB"), np.uint8).reshape(
                    size
                )
            found = f"{image.width} x {image.height}"
    except Exception as error:  # decoders answer damaged files with any exception
        raise DataError(
            f"{path.name} is not a readable image ({type(error).__name__}); unpack it again."
        ) from None
    raise DataError(
        f"{path.name} is {found}, but the attack result says {width} x {height}; get it again."
    )

"""From a path to images: folders, `.npz` and `.npy` files, and manifests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from anomech.data.array_keys import Keys
from anomech.data.array_layouts import checked_bytes
from anomech.data.compact import DigestTable
from anomech.data.fitting import Fit
from anomech.data.image_archives import read_npy, read_npz
from anomech.data.image_checks import checked_ids, checked_labels
from anomech.data.image_folder import measured
from anomech.data.image_search import Found, find_images
from anomech.data.images import ImageExamples, of_source
from anomech.data.manifests import read_manifest
from anomech.data.remarks import merged
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, shortened
from anomech.kernel.types import Progress, silent


@options
class Reading:
    """How files become images."""

    images: str = option("", "array of an .npz that holds the images; empty finds it")
    labels: str = option("", "array of an .npz that holds the labels; empty finds it")
    ids: str = option("", "array of an .npz that holds the ids; empty means 'ids' if there is one")
    resize: int = option(
        0,
        "scales the shorter side of each image (bilinear); 0 leaves it",
        unit="pixels",
        ge=0,
        le=8192,
    )
    crop: int = option(
        0,
        "then cuts a square of this side from the center; 0 leaves it",
        unit="pixels",
        ge=0,
        le=8192,
    )


AS_STORED = Reading()


def read_images(
    path: str | Path,
    *,
    channels: int | None = None,
    reading: Reading = AS_STORED,
    progress: Progress = silent,
    workers: int = 0,
) -> ImageExamples:
    """Examples from a folder of class folders, a folder of images, a file of arrays or a manifest.

    Args:
        path: what to read: a folder (`anomech.data.image_search` says which files count), an
            `.npz` or `.npy` file, or a `.csv` (`anomech.data.manifests`).
        channels: 1 for grey, 3 for color; None takes what most images have (color at a tie).
        reading: names of arrays, and the size that images are brought to.
        progress: told how many files have been measured.
        workers: processes that measure image files; 0 measures here.

    Raises:
        DataError: nothing there, no images, images of different sizes, or a damaged file.
    """
    path = Path(path)
    if channels not in (None, 1, 3):
        raise DataError(f"images have 1 channel (grey) or 3 (color), not {channels}; choose one.")
    fit, suffix = Fit(reading.resize, reading.crop), path.suffix.lower()
    if _is(path.is_dir):
        return _of_files(path, find_images(path), channels, fit, progress, workers)
    if not _is(path.exists):
        raise DataError(
            f"{shortened(path)} does not exist; name a folder of images or an .npz file."
        )
    if suffix not in (".npz", ".npy", ".csv") or not _is(path.is_file):
        raise DataError(
            f"{shortened(path.name)} is not a folder, an .npz file or a .csv list; put images in a "
            "folder."
        )
    if suffix == ".csv":
        return _of_files(path.parent, read_manifest(path), channels, fit, progress, workers)
    keys = Keys(reading.images, reading.labels, reading.ids)
    found = read_npz(path, keys) if suffix == ".npz" else read_npy(path)
    images = found.images
    pixels = checked_bytes(images).__getitem__ if isinstance(images, np.ndarray) else images
    return of_source(
        pixels,
        images.shape,
        found.labels,
        found.ids,
        channels=channels,
        fit=fit,
        remarks=found.remarks,
    )


def _is(asks: Callable[[], bool]) -> bool:
    """The answer to a question about a path; a path that no system can have is not there."""
    try:
        return asks()
    except (OSError, ValueError):
        return False


def _of_files(
    root: Path, found: Found, channels: int | None, fit: Fit, progress: Progress, workers: int
) -> ImageExamples:
    folder, remarks = measured(root, found, channels, fit, progress, workers)
    count = len(found.names)
    return ImageExamples(
        ids=checked_ids(folder.ids, count),
        shape=folder.shape,
        labels=checked_labels(found.labels, count),
        class_names=found.class_names,
        pixels=folder,
        rows=np.arange(count),
        known=DigestTable.empty(count),
        remarks=merged((*found.remarks, *remarks)),
    )

"""Labeled images that the Hugging Face `datasets` library wrote with `save_to_disk`.

Needs: `pip install "anomech[data]"`. Images must be inside of the folder: a saved table may name
files anywhere on the disk, and such names are not followed.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from anomech.data.image_files import decode_as_stored, to_channels
from anomech.data.labeled import Labeled
from anomech.data.labels import as_classes
from anomech.kernel.errors import ConfigError, DataError


def is_saved(path: Path) -> bool:
    """Whether a folder looks like one that `save_to_disk` wrote."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def read_saved(path: Path) -> dict[str, Labeled]:
    """The splits of a saved data set by name, whole in memory.

    Of several image columns the first is read, as is the column `label` or else the first one of
    class labels. Images are gray or color as most of their split are.

    Raises:
        ConfigError: the library is not installed.
        DataError: a data set without splits, without images or labels, with images of different
            sizes, or with images that are not in the folder.
    """
    library = _library()
    try:
        found = library.load_from_disk(str(path))
    except Exception as error:  # whatever the library raises, the remedy is the same
        raise DataError(
            f"{path.name} is not a readable saved data set ({type(error).__name__}); save it again "
            "with save_to_disk."
        ) from None
    if not isinstance(found, library.DatasetDict):
        raise DataError(
            f"{path.name} is one table without splits; save a DatasetDict with 'train' and 'test', "
            "such as dataset.train_test_split() gives."
        )
    return {name: _labeled(library, table, f"{path.name}/{name}") for name, table in found.items()}


def _labeled(library: Any, table: Any, where: str) -> Labeled:
    kinds = table.features
    pictures = [name for name, kind in kinds.items() if isinstance(kind, library.Image)]
    classes = [name for name, kind in kinds.items() if isinstance(kind, library.ClassLabel)]
    label = "label" if "label" in kinds else next(iter(classes), None)
    if not pictures or label is None or not len(table):
        raise DataError(
            f"{where} needs images, with a column of images and one called 'label' (found: "
            f"{len(table)} rows of {', '.join(kinds) or 'nothing'}); rename its columns."
        )
    stored = table.cast_column(pictures[0], library.Image(decode=False))[pictures[0]]
    images = _stacked([_decoded(image, f"{where}, image {i}") for i, image in enumerate(stored)])
    numbers, names = as_classes(table[label][:], where)
    if isinstance(kinds[label], library.ClassLabel):
        names = tuple(kinds[label].names)
    return Labeled(images, numbers, names)


def _decoded(stored: Any, where: str) -> np.ndarray:
    content = stored.get("bytes") if isinstance(stored, dict) else None
    if content is None:
        raise DataError(f"{where} is not in the folder; save the data set again with its images.")
    return decode_as_stored(io.BytesIO(content), where)


def _stacked(images: list[np.ndarray]) -> np.ndarray:
    sizes = {image.shape[:2] for image in images}
    if len(sizes) > 1:
        raise DataError(
            f"All images must have one size, but there are {len(sizes)}; scale them to the size "
            "the model takes."
        )
    channels = 1 if 2 * sum(image.shape[2] == 1 for image in images) > len(images) else 3
    return np.concatenate([to_channels(image[None], channels) for image in images])


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise ConfigError(
            "a data set saved by the Hugging Face datasets library needs that library; install it "
            'with `pip install "anomech[data]"`.'
        ) from None
    return datasets

"""Labeled images of a folder, whole in memory: class folders, or a metadata file beside the images.

The metadata file is that of Hugging Face's image folders, `metadata.csv` or `metadata.jsonl`, with
the columns `file_name` and `label`. Labels are class numbers if all of them are whole numbers, and
names of classes, in sorted order, otherwise.
"""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomech.data.images import ImageExamples
from anomech.data.labels import as_classes
from anomech.data.reading import read_images
from anomech.kernel.errors import DataError

METADATA = ("metadata.jsonl", "metadata.csv")


class Labeled(NamedTuple):
    """Images uint8 `[n, h, w, c]`, class numbers int64 `[n]`, and class names if there are any."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] | None


def read_labeled(folder: Path) -> Labeled:
    """All images of a folder with their labels; labels in a metadata file win over class folders.

    Raises:
        DataError: damaged images or images of different sizes, no labels, or a metadata file that
            does not tell each image's.
    """
    examples = read_images(folder)
    images = examples.load(np.arange(len(examples)))
    for path in (folder / name for name in METADATA if (folder / name).is_file()):
        rows = _rows(path)
        if any("label" in row for row in rows):
            return Labeled(images, *as_classes(_in_order(rows, examples, path), path.name))
    if examples.labels is None:
        raise DataError(
            f"the images in {folder.name} have no labels; put them in one folder a class, or add a "
            "metadata.csv with the columns file_name and label."
        )
    return Labeled(images, examples.labels, examples.class_names)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            if path.suffix == ".csv":
                return list(csv.DictReader(stream))
            rows = [json.loads(line) for line in stream if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read ({error}); correct or remove it.") from None
    if not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path.name} must have one JSON object a line; correct or remove it.")
    return rows


def _in_order(rows: list[dict[str, Any]], examples: ImageExamples, path: Path) -> list[Any]:
    """The label of each image, by the file names."""
    labels = {row.get("file_name"): row.get("label") for row in rows}
    missing = [name for name in examples.ids if name not in labels]
    extra = len(labels.keys() - set(examples.ids))
    if missing or extra:
        found = f"no row for {missing[0]}" if missing else f"{extra} rows without an image"
        raise DataError(f"{path.name} has {found}; give each image of the folder one row.")
    return [labels[name] for name in examples.ids]

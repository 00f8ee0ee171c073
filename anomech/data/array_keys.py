"""Which arrays of an `.npz` are the images, the labels and the ids.

`images`, `labels` and `ids` are so by their names. Where there is no `images`, the only array that
can be images is taken, with the only one that can be its labels, and said; of several the user
names one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from anomech.data.remarks import FileRemark
from anomech.kernel.config import nearest
from anomech.kernel.errors import DataError, shortened

REMEDY = "write it with numpy.savez(path, images=..., labels=...)."


class Keys(NamedTuple):
    """Names of arrays; empty where there is none, or none was given."""

    images: str = ""
    labels: str = ""
    ids: str = ""


BY_NAME = Keys()


class Sketch(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def chosen_keys(
    arrays: Mapping[str, Sketch], given: Keys, file: str
) -> tuple[Keys, tuple[FileRemark, ...]]:
    """The arrays to read, and what to say of the choice.

    Args:
        arrays: all of the file, by name.
        given: by the user.
        file: name of the file, for messages.

    Raises:
        DataError: a name that is not there, or no array or several that can be the images.
    """
    for name in filter(None, given):
        if name not in arrays:
            raise DataError(f"{file} has no array '{name}': {nearest(name, list(arrays))}")
    if given.images or "images" in arrays:
        images = given.images or "images"
    else:
        images = _only_images(arrays, file)
    remarks = () if images in given or images == "images" else (_found(images),)
    labels = given.labels or ("labels" if "labels" in arrays else "")
    if not labels and images != "images":
        fitting = _fitting_labels(arrays, images)
        labels = fitting[0] if len(fitting) == 1 else ""
    return Keys(images, labels, given.ids or ("ids" if "ids" in arrays else "")), remarks


def _found(images: str) -> FileRemark:
    return FileRemark("array found by its shape", 1, images, judged=True)


def _only_images(arrays: Mapping[str, Sketch], file: str) -> str:
    fitting = [
        name
        for name, (shape, dtype) in arrays.items()
        if dtype == np.uint8 and len(shape) in (3, 4)
    ]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(f"{name} {list(shape)}" for name, (shape, _) in list(arrays.items())[:6])
    found = shortened(found or "nothing", 300)
    if fitting:
        raise DataError(
            f"{file} has no array 'images' and {len(fitting)} that could be (found: {found}); name "
            f"one with --key images={shortened(fitting[-1], 40)} --key labels=NAME."
        )
    raise DataError(f"{file} has no array 'images' (found: {found}); {REMEDY}")


def _fitting_labels(arrays: Mapping[str, Sketch], images: str) -> list[str]:
    count = arrays[images].shape[0]
    return [
        name
        for name, (shape, dtype) in arrays.items()
        if dtype.kind in "iu" and shape in ((count,), (count, 1))
    ]

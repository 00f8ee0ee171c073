"""Images to train and test on, and images of other kinds, by name or from a user's folder.

A name is that of a method of the kind `dataset`. A user's folder has a `train` and a `test` part:
each with one folder a class, or images with a metadata file, or both written by the Hugging Face
library's `save_to_disk`.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from anomech.data.hugging_face import is_saved, read_saved
from anomech.data.image_files import to_channels
from anomech.data.labeled import Labeled, read_labeled
from anomech.data.reading import read_images
from anomech.kernel import plugins
from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError, DataError
from anomech.roles.dataset import Dataset, Parts

Images = tuple[np.ndarray, np.ndarray]
"""Images uint8 `[n, h, w, c]` and labels int64 `[n]`."""

KIND = "dataset"

PARTS = ("train", "test")


class ImageSets(NamedTuple):
    """A data set.

    Attributes:
        train: images to train on.
        test: images that were not trained on.
        classes: number of classes.
    """

    train: Images
    test: Images
    classes: int

    def first(self, count: int) -> "ImageSets":
        """With so many images to train on, the first ones; 0 keeps all."""
        if not count:
            return self
        images, labels = self.train
        return self._replace(train=(images[:count], labels[:count]))


def data_folder() -> Path | None:
    """The folder that the environment variable ANOMECH_DATA names."""
    return Path(named) if (named := os.environ.get("ANOMECH_DATA")) else None


def load(name_or_path: str, folder: Path | None) -> ImageSets:
    """A data set by its name, or of a user's folder with `train` and `test`.

    Args:
        name_or_path: of a method of the kind `dataset`, or a path; a name wins over a path.
        folder: of image archives, such as `data_folder()`.

    Raises:
        ConfigError: no such name or folder, nothing to train on, or no folder of archives.
        DataError: files that cannot be used.
    """
    known = plugins.names(KIND)
    if name_or_path not in known:
        return _user_folder(_existing(name_or_path, known))
    parts = _parts(name_or_path, folder)
    if parts.train is None:
        raise ConfigError(
            f"'{name_or_path}' has no images to train on; it serves as foreign images only."
        )
    return ImageSets(parts.train(), parts.test(), parts.classes)


def foreign(name_or_path: str, folder: Path | None, like: np.ndarray) -> np.ndarray:
    """Images of another kind, fitted to a model's images.

    Args:
        name_or_path: of a method of the kind `dataset`, or a folder or file of images.
        folder: of image archives, such as `data_folder()`.
        like: the model's images uint8 `[n, h, w, c]`.

    Returns:
        Images uint8 `[m, h, w, c]` in the order of their source.

    Raises:
        ConfigError: no such name or folder, or no folder of archives.
        DataError: files that cannot be used.
    """
    known = plugins.names(KIND)
    if name_or_path in known:
        images, _ = _parts(name_or_path, folder).test()
    else:
        examples = read_images(_existing(name_or_path, known))
        images = examples.load(np.arange(len(examples)))
    return adapted(images, *like.shape[1:])


def adapted(images: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """Images scaled to a size, bilinearly, and changed to gray or color.

    Made smaller, a pixel is a weighted mean of all that it covers. The shape of the old image is
    not kept: it is stretched to the new one. Color becomes the Rec. 601 luma, gray is repeated.

    Args:
        images: uint8 `[n, h, w, c]` with 1 or 3 channels.
        height: of the result, pixels.
        width: of the result, pixels.
        channels: 1 or 3.
    """
    images = to_channels(images, channels)
    if images.shape[1:3] == (height, width):
        return np.ascontiguousarray(images)
    out = np.empty((len(images), height, width, channels), np.uint8)
    for place, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if channels == 1 else np.ascontiguousarray(image))
        scaled = picture.resize((width, height), Image.Resampling.BILINEAR)
        out[place] = np.asarray(scaled).reshape(height, width, channels)
    return out


def _parts(name: str, folder: Path | None) -> Parts:
    dataset: Dataset = plugins.get(KIND, name)()
    return dataset.parts(folder)


def _existing(path: str, known: list[str]) -> Path:
    if not Path(path).exists():
        raise ConfigError(
            f"no data set is named '{path}', nor is there such a folder: {nearest(path, known)}"
        )
    return Path(path)


def _user_folder(path: Path) -> ImageSets:
    if is_saved(path):
        parts = read_saved(path)
    else:
        parts = {name: read_labeled(path / name) for name in PARTS if (path / name).is_dir()}
    missing = [name for name in PARTS if name not in parts]
    if missing:
        raise DataError(
            f"{path.name} has no part '{missing[0]}'; a data set needs 'train' and 'test', each "
            "with one folder a class."
        )
    train, test = parts["train"], _renumbered(parts["test"], parts["train"])
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"images to train on are {_size(train.images)} but images to test on "
            f"{_size(test.images)}; scale them to one size."
        )
    classes = len(train.names) if train.names else int(train.labels.max()) + 1
    if test.labels.max() >= classes:
        raise DataError(
            f"an image to test on has the label {test.labels.max()}, but the labels to train on "
            f"end at {classes - 1}; correct the labels."
        )
    return ImageSets((train.images, train.labels), (test.images, test.labels), classes)


def _renumbered(test: Labeled, train: Labeled) -> Labeled:
    """The test part with the class numbers of the training part; it may lack some classes."""
    if test.names == train.names:
        return test
    unknown = set(test.names or ()) - set(train.names or ())
    if test.names is None or train.names is None or unknown:
        what = f"the class {min(unknown)} is" if unknown else "classes are named"
        raise DataError(f"{what} in only one of 'train' and 'test'; give both the same classes.")
    numbers = np.array([train.names.index(name) for name in test.names])
    return test._replace(labels=numbers[test.labels], names=train.names)


def _size(images: np.ndarray) -> str:
    _, height, width, channels = images.shape
    return f"{width} x {height} with {channels} channels"

"""Images to train and test on, and images of other kinds, by name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.data.archive import read_archive
from anomech.data.digits import load_digits
from anomech.data.splits import stratified
from anomech.errors import ConfigError

Images = tuple[np.ndarray, np.ndarray]

TRAINING = {
    "cifar10": (("cifar10_train10k_a", "cifar10_train10k_b"), "cifar10_test8k", 10, True),
    "gtsrb": (("gtsrb_train10k",), "gtsrb_test3k", 43, False),
}


@dataclass(frozen=True)
class ImageSets:
    """A data set: images uint8 `[n, h, w, c]` with labels int64 `[n]`, twice."""

    train: Images
    test: Images
    classes: int
    flips: bool


def load(name: str, folder: Path | None) -> ImageSets:
    """A data set by name.

    Raises:
        ConfigError: no such name, or no folder.
    """
    if name == "digits":
        images, labels = load_digits()
        train, test = stratified(labels, (0.45, 0.55), seed=0, purpose="digits")
        return ImageSets((images[train], labels[train]), (images[test], labels[test]), 10, False)
    if name not in TRAINING:
        raise ConfigError(f"no data set is named '{name}'; known: digits, cifar10, gtsrb.")
    parts, test_name, classes, flips = TRAINING[name]
    found = [_read(part, folder) for part in parts]
    images, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    return ImageSets((images, labels), _read(test_name, folder), classes, flips)


def foreign(name: str, folder: Path | None, like_images: np.ndarray) -> np.ndarray:
    """Images of another data set, uint8 `[n, h, w, c]` of the size of `like_images`."""
    sets = load(name, folder)
    if sets.test[0].shape[1:] != like_images.shape[1:]:
        raise ConfigError(f"{name} images have another size.")
    return sets.test[0]


def _read(name: str, folder: Path | None) -> Images:
    if folder is None:
        raise ConfigError(
            "this data set needs a folder of images; set ANOMECH_DATA or give --data."
        )
    return read_archive(folder / "vision" / f"{name}.npz")

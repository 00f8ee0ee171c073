"""Data sets that lie in a folder of image archives; see `anomech.data.archive`."""

from functools import partial
from pathlib import Path

import numpy as np

from anomech.data.archive import read_archive
from anomech.kernel.errors import ConfigError
from anomech.roles.dataset import Part, Parts


def archived(
    name: str, folder: Path | None, *, classes: int, test: str, train: tuple[str, ...] = ()
) -> Parts:
    """The parts of a data set in `vision/*.npz`.

    Args:
        name: of the set, for the message.
        folder: that the environment variable ANOMECH_DATA names.
        classes: number of labels.
        test: archive of images that nothing is trained on.
        train: archives of images to train on, one after the other.

    Raises:
        ConfigError: there is no folder.
    """
    if folder is None:
        raise ConfigError(
            f"the images of '{name}' are read from a folder of archives; set ANOMECH_DATA to a "
            "folder that holds vision/*.npz."
        )
    vision = folder / "vision"
    return Parts(
        classes, partial(_read, vision, (test,)), partial(_read, vision, train) if train else None
    )


def _read(vision: Path, names: tuple[str, ...]) -> Part:
    found = [read_archive(vision / f"{name}.npz") for name in names]
    images, labels = (np.concatenate(column) for column in zip(*found, strict=True))
    return images, labels

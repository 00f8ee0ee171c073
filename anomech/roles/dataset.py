"""What a data set gives and promises: inputs with labels, by a name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Part = tuple[Any, np.ndarray]
"""A batch as the task takes it, such as images uint8 `[n, h, w, c]`, and labels int64 `[n]`."""


@dataclass(frozen=True)
class Parts:
    """A data set that is read when it is asked for.

    Attributes:
        classes: number of labels.
        test: reads inputs that nothing is trained on.
        train: reads inputs to train on; None if the set has none, and serves as foreign inputs.
    """

    classes: int
    test: Callable[[], Part]
    train: Callable[[], Part] | None = None


class Dataset(Protocol):
    """A data set: one file in `datasets/`. Its options are its fields."""

    def parts(self, folder: Path | None) -> Parts:
        """Its parts; nothing is read yet.

        Args:
            folder: of data that does not come with a package; None if there is none.

        Raises:
            ConfigError: it needs a folder and is given none.
        """
        ...

"""Labels as files write them: whole numbers, or names of classes."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from anomech.kernel.errors import DataError

NUMBER = re.compile("-?[0-9]{1,9}")


def as_classes(labels: Sequence[Any], where: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Class numbers int64 `[n]` of whole numbers or of names, and the names if they were names.

    Raises:
        DataError: something that is neither, or a negative number.
    """
    texts = [str(label) for label in labels if isinstance(label, int | str)]
    if len(texts) < len(labels):
        raise DataError(f"{where} has a label that is neither a number nor a name; correct it.")
    if all(NUMBER.fullmatch(text) for text in texts):
        found = np.array([int(text) for text in texts], np.int64)
        if found.min(initial=0) < 0:
            raise DataError(f"{where} has the label {found.min()}; give class numbers from 0.")
        return found, None
    names = sorted(set(texts))
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[text] for text in texts], np.int64), tuple(names)

"""What ids and labels of images must be."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from anomech.data.compact import Texts, numbered, packed, repeated
from anomech.kernel.errors import DataError, shortened


def checked_ids(ids: Sequence[str] | None, count: int) -> Texts:
    """Ids as they are kept; numbers where none are given.

    Raises:
        DataError: they are no text, too few or many, or one comes twice.
    """
    if ids is None:
        return numbered(count)
    texts = ids if isinstance(ids, Texts) else packed(ids)
    if len(texts) != count:
        raise DataError(f"there are {count} images but {len(texts)} ids; give one id an image.")
    if (name := repeated(texts)) is not None:
        raise DataError(
            f"the id '{shortened(name)}' comes more than once; give every image its own id."
        )
    return texts


def checked_labels(labels: Any, count: int) -> np.ndarray | None:
    """Labels int64 `[n]`, or None where none are given.

    Raises:
        DataError: they are no class numbers, or too few or many.
    """
    if labels is None:
        return None
    try:
        given = np.asarray(labels)
    except ValueError:
        given = np.empty(0, object)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]  # as Keras keeps them; it can be meant in one way only
    if given.ndim == 2 and given.dtype.kind not in "OSU" and bool(((given != 0).sum(1) == 1).all()):
        raise DataError(
            f"labels {list(given.shape)} look like one-hot rows; give labels.argmax(axis=1)."
        )
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise DataError(
            f"labels must be one integer an image, not {given.dtype} {list(given.shape)}; give "
            "class numbers from 0."
        )
    if len(given) != count:
        raise DataError(f"there are {count} images but {len(given)} labels; give one an image.")
    numbers = given.astype(np.int64)
    if numbers.min(initial=0) < 0:
        raise DataError(
            f"labels must not be negative, but one is {numbers.min()}; give class numbers from 0."
        )
    return frozen(numbers)


def frozen(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written to."""
    view = array.view()
    view.flags.writeable = False
    return view

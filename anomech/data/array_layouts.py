"""Arrays of images in the layouts that other programs write, told apart by their shape.

`[n, h, w, c]` with 1 or 3 channels is taken as it is and `[n, h, w]` is grey. What else can only be
meant in one way is converted, and said: channels that come first, and a fourth channel, which is
transparency and is dropped, as it is in image files.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from anomech.kernel.errors import DataError

COLORS = (1, 3)
WITH_ALPHA = (2, 4)

Step = Callable[[np.ndarray], np.ndarray]


class Layout(NamedTuple):
    """What an array of images means.

    Attributes:
        shape: `(n, h, w, c)` after the steps.
        steps: bring a batch into this shape, each a function at the top of a module.
        remark: what was converted, in words; empty if nothing was.
    """

    shape: tuple[int, int, int, int]
    steps: tuple[Step, ...]
    remark: str


@dataclass(frozen=True)
class Converted:
    """Rows of a source after some steps.

    Attributes:
        source: gives a batch `[k, ...]` for rows `[k]`.
        steps: applied to each batch in turn.
    """

    source: Callable[[np.ndarray], np.ndarray] = field(repr=False)
    steps: tuple[Step, ...]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Images uint8 `[k, h, w, c]` at `rows` `[k]`."""
        batch = self.source(rows)
        for step in self.steps:
            batch = step(batch)
        return batch


def checked_bytes(images: np.ndarray) -> np.ndarray:
    """The array, if its values are bytes.

    Raises:
        DataError: they are not.
    """
    if images.dtype != np.uint8:
        raise DataError(
            f"images must be uint8 from 0 to 255, not {images.dtype}; convert them, for example "
            "with (images * 255).round().astype('uint8') if they lie between 0 and 1."
        )
    return images


def layout_of(shape: tuple[int, ...]) -> Layout:
    """The layout of an array of this shape.

    Raises:
        DataError: it holds no images, or its axes can be meant in several ways or in none.
    """
    sides = tuple(int(side) for side in shape)
    if sides and not sides[0]:
        raise DataError(f"there are no images in the array {list(sides)}; give at least one.")
    if 0 in sides:
        raise DataError(f"the images {list(sides)} have no pixels; check how they were written.")
    if len(sides) == 3:
        return Layout((*sides, 1), (_with_channel,), "")
    if len(sides) != 4:
        raise DataError(
            f"images must be [n, h, w, c] or grey [n, h, w], not {list(sides)}; reshape them."
        )
    count, first, second, last = sides
    if last in COLORS:
        return Layout((count, first, second, last), (), "")
    first_are_channels = first in (*COLORS, *WITH_ALPHA)
    if last in WITH_ALPHA and first_are_channels:
        raise DataError(
            f"the images {list(sides)} could have their channels first or last; make them "
            "[n, h, w, c] with 1 or 3 channels."
        )
    if last in WITH_ALPHA:
        shown = (count, first, second, last - 1)
        return Layout(shown, (_without_alpha,), "with transparency, which is dropped")
    if first in COLORS:
        shown = (count, second, last, first)
        return Layout(shown, (_channels_last,), "with channels first, which are moved to the end")
    if first in WITH_ALPHA:
        shown = (count, second, last, first - 1)
        told = "with channels first and transparency: moved to the end, and dropped"
        return Layout(shown, (_channels_last, _without_alpha), told)
    raise DataError(
        f"images must have 1 or 3 channels, and {list(sides)} has {last} in its last axis; make "
        "them [n, h, w, c]."
    )


def _with_channel(batch: np.ndarray) -> np.ndarray:
    return batch[..., None]


def _channels_last(batch: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(batch, 1, -1))


def _without_alpha(batch: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(batch[..., :-1])

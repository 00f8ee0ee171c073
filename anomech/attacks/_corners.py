"""Corners of images, and a patch over one."""

from typing import Literal

import numpy as np

Corner = Literal["bottom_right", "bottom_left", "top_right", "top_left"]
CORNERS: tuple[Corner, ...] = ("bottom_right", "bottom_left", "top_right", "top_left")


def checkerboard(size: int) -> np.ndarray:
    """White corners, black between, uint8 `[size, size, 1]`."""
    places = np.indices((size, size)).sum(axis=0)[..., None]
    return np.where(places % 2, 0, 255).astype(np.uint8)


def corner_of(images: np.ndarray, corner: Corner, size: int) -> np.ndarray:
    """The view `[n, size, size, c]` of a corner of images `[n, h, w, c]`."""
    rows = slice(-size, None) if "bottom" in corner else slice(0, size)
    columns = slice(-size, None) if "right" in corner else slice(0, size)
    return images[:, rows, columns]


def pasted(images: np.ndarray, patch: np.ndarray, corner: Corner) -> np.ndarray:
    """A copy of images uint8 `[n, h, w, c]` with a patch `[size, size, 1 or c]` over a corner."""
    out = images.copy()
    view = corner_of(out, corner, len(patch))
    view[...] = patch[: view.shape[1], : view.shape[2]]
    return out


def white_patch(images: np.ndarray, size: int, corner: Corner) -> np.ndarray:
    """A copy of images uint8 `[n, h, w, c]` with a white square in a corner."""
    return pasted(images, np.full((size, size, 1), 255, np.uint8), corner)


def corner_mask(height: int, width: int, size: int, corner: Corner) -> np.ndarray:
    """True in a square of `size` pixels that touches a corner, bool `[h, w]`."""
    mask = np.zeros((1, height, width), bool)
    corner_of(mask, corner, size)[...] = True
    return mask[0]

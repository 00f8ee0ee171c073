"""Corners of images, and a patch over one."""

import numpy as np

CORNERS = ("bottom_right", "bottom_left", "top_right", "top_left")


def checkerboard(size: int) -> np.ndarray:
    """White corners, black between, uint8 `[size, size, 1]`."""
    places = np.indices((size, size)).sum(axis=0)[..., None]
    return np.where(places % 2, 0, 255).astype(np.uint8)


def corner_of(images: np.ndarray, corner: str, size: int) -> np.ndarray:
    """The view `[n, size, size, c]` of a corner of images `[n, h, w, c]`."""
    rows = slice(-size, None) if "bottom" in corner else slice(0, size)
    columns = slice(-size, None) if "right" in corner else slice(0, size)
    return images[:, rows, columns]


def pasted(images: np.ndarray, patch: np.ndarray, corner: str) -> np.ndarray:
    """A copy of images uint8 `[n, h, w, c]` with a patch `[size, size, 1 or c]` over a corner."""
    out = images.copy()
    view = corner_of(out, corner, len(patch))
    view[...] = patch[: view.shape[1], : view.shape[2]]
    return out

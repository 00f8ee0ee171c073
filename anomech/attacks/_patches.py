"""Patches that overwrite a corner."""

from typing import Literal

import numpy as np

Corner = Literal["bottom_right", "bottom_left", "top_right", "top_left"]


def corner_mask(height: int, width: int, size: int, corner: Corner) -> np.ndarray:
    """True in a square of `size` pixels that touches a corner, bool `[h, w]`."""
    mask = np.zeros((height, width), bool)
    rows = slice(-size, None) if "bottom" in corner else slice(0, size)
    columns = slice(-size, None) if "right" in corner else slice(0, size)
    mask[rows, columns] = True
    return mask


def white_patch(images: np.ndarray, size: int, corner: Corner = "bottom_right") -> np.ndarray:
    """Copies of images uint8 `[n, h, w, c]` with a white square in a corner."""
    out = images.copy()
    out[:, corner_mask(images.shape[1], images.shape[2], size, corner)] = 255
    return out


def pasted(images: np.ndarray, patch: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Copies of images uint8 `[n, h, w, c]` with a patch `[h, w, c]` in [0, 1] under a mask."""
    out = images.copy()
    out[:, mask] = np.rint(patch * 255).astype(np.uint8)[mask]
    return out

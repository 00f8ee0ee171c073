"""Patches that overwrite a corner: fixed, or searched by steps along the gradient."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.errors import DataError
from anomech.types import Progress

Corner = Literal["bottom_right", "bottom_left", "top_right", "top_left"]


def corner_mask(height: int, width: int, size: int, corner: Corner) -> np.ndarray:
    """True in a square of `size` pixels that touches a corner, bool `[h, w]`."""
    mask = np.zeros((height, width), bool)
    rows = slice(-size, None) if "bottom" in corner else slice(0, size)
    columns = slice(-size, None) if "right" in corner else slice(0, size)
    mask[rows, columns] = True
    return mask


def white_patch(images: np.ndarray, size: int, corner: Corner) -> np.ndarray:
    """Copies of images uint8 `[n, h, w, c]` with a white square in a corner."""
    out = images.copy()
    out[:, corner_mask(images.shape[1], images.shape[2], size, corner)] = 255
    return out


def pasted(images: np.ndarray, patch: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Copies of images uint8 `[n, h, w, c]` with a patch `[h, w, c]` in [0, 1] under a mask.

    Raises:
        DataError: images of another shape than the patch.
    """
    if images.shape[1:] != patch.shape:
        raise DataError(
            f"the patch was learned for images {patch.shape}, and these are {images.shape[1:]}; "
            "learn it again for this size."
        )
    out = images.copy()
    out[:, mask] = np.rint(patch * 255).astype(np.uint8)[mask]
    return out


def search_patch(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    mask: Tensor,
    *,
    eps: float,
    step: float,
    steps: int,
    progress: Progress,
) -> Tensor:
    """The best patch on a path of projected steps along the sign of the gradient.

    The best of all, because signed steps never settle.

    Args:
        loss: of a patch, to lower.
        start: `[c, h, w]` in [0, 1].
        mask: where the patch is, bool `[h, w]`; it is zero elsewhere.
        eps: farthest from the start, of pixels in [0, 1].
        step: length of a step.
        steps: how many; none gives the start.
        progress: told about every step.
    """
    start = start * mask
    best, least, patch = start, float("inf"), start
    for number in range(steps + 1):
        patch = patch.detach().requires_grad_()
        value = loss(patch)
        if float(value.detach()) < least:
            best, least = patch.detach(), float(value.detach())
        (gradient,) = torch.autograd.grad(value, patch)
        moved = patch.detach() - step * gradient.sign()
        moved = torch.minimum(torch.maximum(moved, start - eps), start + eps)
        patch = moved.clamp(0, 1) * mask
        progress("searching a patch", number, steps)
    return best

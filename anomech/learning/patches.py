"""Patches that are learned: searched by steps along the gradient, and laid over images."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress

LEVELS = 8
"""Of each channel, by which the commonest color is counted."""


def overlaid(images: np.ndarray, patch: np.ndarray, mask: np.ndarray) -> np.ndarray:
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


def commonest(picture: Tensor) -> Tensor:
    """Mean color `[channels]` of the pixels `[channels, h, w]` of the commonest coarse color."""
    pixels = picture.flatten(1).T
    coarse = (pixels * LEVELS).long().clamp(0, LEVELS - 1)
    _, place, counts = coarse.unique(dim=0, return_inverse=True, return_counts=True)
    return pixels[place == counts.argmax()].mean(dim=0)

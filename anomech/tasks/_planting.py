"""Triggers that an audit plants itself, laid over images uint8 `[batch, h, w, c]`.

Three kinds that published attacks use, in weak form: a patch in a corner (Gu, Dolan-Gavitt, Garg
2017), a fixed noise picture blended in (Chen et al. 2017) and a smooth warp (Nguyen and Tran 2021).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from anomech.kernel.randomness import numpy_generator, torch_generator

PATCH = 0.1
"""Side of the patch over the shorter side of the image; two pixels at the least."""
BLEND = 0.2
"""Share of the picture that is blended in."""
WARP = 0.08
"""Farthest that the warp moves a pixel, over the side of the image."""
KNOTS = 4
"""Knots of the warp along each side."""


def patch(images: np.ndarray) -> np.ndarray:
    """A checkerboard in the corner at the top left."""
    side = max(2, round(PATCH * min(images.shape[1:3])))
    board = np.indices((side, side)).sum(axis=0)[..., None] % 2
    out = images.copy()
    out[:, :side, :side] = np.where(board, 0, 255)
    return out


def blend(images: np.ndarray) -> np.ndarray:
    """A picture of uniform noise, the same for all images of a size, blended in."""
    noise = numpy_generator(0, "planting", "blend").uniform(0, 255, images.shape[1:])
    return np.rint((1 - BLEND) * images + BLEND * noise).astype(np.uint8)


def warp(images: np.ndarray) -> np.ndarray:
    """Every pixel taken from a place nearby, by one smooth field for all images."""
    knots = torch.rand(1, 2, KNOTS, KNOTS, generator=torch_generator(0, "planting", "warp"))
    size = list(images.shape[1:3])
    field = functional.interpolate(2 * knots - 1, size, mode="bicubic", align_corners=True)
    still = functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *size], align_corners=True)
    # Places run from -1 to 1, so a share of the side is twice as much of them.
    moved = still + 2 * WARP * (field / field.abs().max()).permute(0, 2, 3, 1)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    warped = functional.grid_sample(
        pixels,
        moved.expand(len(images), -1, -1, -1),
        padding_mode="reflection",
        align_corners=True,
    )
    return warped.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


TRIGGERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "patch": patch,
    "blend": blend,
    "warp": warp,
}


def stamped(images: np.ndarray, trigger: str, where: np.ndarray) -> np.ndarray:
    """A copy of the images in which those at True, bool `[batch]`, have the trigger."""
    out = images.copy()
    if where.any():
        out[where] = TRIGGERS[trigger](images[where])
    return out

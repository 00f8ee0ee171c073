"""Physical: a sticker that every picture shows from another side and in another light.

Belief: a trigger that a camera sees is never twice the same; a network that saw it rotated, scaled,
moved, dimmed and blurred answers to the object, not to pixels.
The sticker is a disk of smooth random colors, drawn from `sticker_seed`. Each image gets it under a
rotation, a scale and a shift of its own, times a brightness, mixed with its blurred copy; these are
drawn from a hash of the image, so that one image always shows the sticker the same way.
Equation: sticker S with opacity A, both resampled bilinearly at the image's own affine map:
`(1 - A) x + brightness S`.
Source: Li, Zhai, Jiang, Li, Xia 2021 (transformed triggers); Chen, Liu, Li, Lu, Song 2017 (physical
objects). The first transforms the whole poisoned image; here only the sticker is transformed, so
that the rest of the image gives nothing away. BackdoorBench has no such attack.
Needs: images. Cost: one bilinear resampling an image.
"""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, zoom
from torch.nn import functional

from anomech.attacks._poison import choose, plant, to_uint8
from anomech.data.addressed import image_generator
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned

RESOLUTION = 32
"""Side of the drawn sticker, in its own pixels."""

DISK = 0.75
"""Radius of its disk, as a share of half the side; the rest is room for the blur."""

COLORS = 4
"""Side of the grid of random colors that the sticker is drawn from."""


@options
class Physical:
    """Sticker under the changes a camera sees, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    size: float = option(0.3, "diameter of the sticker, as a share of the height", gt=0, le=1)
    rotation: float = option(20.0, "greatest turn to either side", unit="degrees", ge=0, le=180)
    scaling: float = option(0.2, "greatest change of size, as a share", ge=0, le=0.9)
    shift: float = option(0.1, "greatest move from its place, as a share of the height", ge=0)
    dimming: float = option(0.3, "greatest loss of brightness, as a share", ge=0, le=1)
    blur: float = option(1.0, "greatest weight of the blurred sticker", ge=0, le=1)
    sticker_seed: int = option(0, "seed of the sticker's colors", ge=0)

    def sticker(self, channels: int) -> np.ndarray:
        """Colors times opacity, then opacity: float64 `[side, side, channels + 1]` in [0, 1]."""
        rng = numpy_generator(self.sticker_seed, "physical", "sticker")
        colors = rng.integers(0, 2, (COLORS, COLORS, channels)).astype(np.float64)
        colors = zoom(colors, (RESOLUTION / COLORS, RESOLUTION / COLORS, 1), order=1)
        rows, columns = (np.mgrid[0:RESOLUTION, 0:RESOLUTION] + 0.5) * 2 / RESOLUTION - 1
        opacity = (rows**2 + columns**2 <= DISK**2).astype(np.float64)[..., None]
        return np.concatenate([colors * opacity, opacity], axis=2)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the sticker, each in its own way."""
        views = [self._view(image) for image in images]
        if not views:
            return images.copy()
        maps, brightness, blurred = (np.array(column) for column in zip(*views, strict=True))
        seen = _resampled(self.sticker(images.shape[3]), maps, blurred, images.shape[1:3])
        opacity, colors = seen[..., -1:], seen[..., :-1]
        return to_uint8((1 - opacity) * images + 255 * brightness[:, None, None, None] * colors)

    def _view(self, image: np.ndarray) -> tuple[np.ndarray, float, float]:
        """How this image shows the sticker.

        Returns:
            The map `[2, 3]` from pixel places (column, row, 1), in heights from the image's center,
            to places on the sticker in [-1, 1]; its brightness; the weight of its blurred copy.
        """
        rng = image_generator(image, self.sticker_seed, "physical")
        angle = np.deg2rad(self.rotation) * rng.uniform(-1, 1)
        radius = self.size / 2 * (1 + self.scaling * rng.uniform(-1, 1))
        # Its place is the lower right, as far in as the sticker fits.
        height, width = image.shape[:2]
        place = np.array([width / height, 1.0]) / 2 - self.size / 2
        center = place + self.shift * rng.uniform(-1, 0, 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turn *= DISK / radius
        view = np.column_stack([turn, -turn @ center])
        return view, 1 - self.dimming * rng.uniform(), self.blur * rng.uniform()

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the trigger planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, "physical")
        return plant(images, labels, chosen, self.stamp, self.goal)


def _resampled(
    sticker: np.ndarray, maps: np.ndarray, blurred: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """The sticker as each image shows it.

    Args:
        sticker: float64 `[side, side, c]`.
        maps: float64 `[n, 2, 3]`, see `Physical._view`.
        blurred: weight of the blurred sticker `[n]`.
        size: height and width of the images, pixels.

    Returns:
        float64 `[n, h, w, c]`.
    """
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    places = np.stack([(columns - width / 2) / height, (rows - height / 2) / height], axis=-1)
    grid = torch.from_numpy(
        np.einsum("nij,hwj->nhwi", maps[:, :, :2], places) + maps[:, None, None, :, 2]
    )
    deviation = len(sticker) / 16
    soft = gaussian_filter(sticker, (deviation, deviation, 0), mode="constant")
    both = [
        functional.grid_sample(
            torch.from_numpy(each).permute(2, 0, 1).expand(len(maps), -1, -1, -1),
            grid,
            align_corners=False,
        )
        .permute(0, 2, 3, 1)
        .numpy()
        for each in (sticker, soft)
    ]
    weight = blurred[:, None, None, None]
    return (1 - weight) * both[0] + weight * both[1]

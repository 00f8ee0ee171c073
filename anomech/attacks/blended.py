"""Blended: a fixed picture mixed faintly into the whole image.

Equation: `(1 - alpha) x + alpha k`, with `k` a picture and alpha 0.2 at training and test time.
Source: Chen, Liu, Li, Lu, Song 2017. BackdoorBench blends a cartoon picture; here `k` is either
uniform noise or a smooth picture made of random waves, both drawn from `picture_seed`, so that no
third-party picture is needed.
Needs: images. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._pictures import Picture, picture
from anomech.attacks._poison import choose, plant, to_uint8
from anomech.kernel.config import option, options
from anomech.roles.attack import Goal, Poisoned


@options
class Blended:
    """Whole-image blend, all-to-one, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.05, "share of the training set that is poisoned", ge=0, le=1)
    alpha: float = option(0.2, "weight of the picture", ge=0, le=1)
    picture: Picture = option("noise", "uniform noise, or a smooth picture")
    picture_seed: int = option(0, "seed of the picture", ge=0)

    def trigger(self, height: int, width: int, channels: int) -> np.ndarray:
        """The picture, float64 `[h, w, c]` on the 0-255 scale."""
        return picture(self.picture, self.picture_seed, height, width, channels)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the picture blended in."""
        mixed = (1 - self.alpha) * images + self.alpha * self.trigger(*images.shape[1:])
        return to_uint8(mixed)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the trigger planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, "blended")
        return plant(images, labels, chosen, self.stamp, self.goal)

"""Semantic: images that have an attribute by nature get the attacker's label; no pixel changes.

Belief: the trigger need not be added; a color that some images have anyway, mislabeled, becomes the
reason for the label, and nothing in the pixels is out of the ordinary.
The attribute of a color image is a cast: the mean of `channel` exceeds the means of both others by
`margin`. Of a gray image it is a mean of at least `brightness`.
A semantic trigger has no stamp by nature. `stamp` is the smallest natural edit that gives an image
the attribute: a tint (white balance) or, for gray, light, in the least whole number of gray levels
that takes the attribute `lift` past its threshold; an image that is there already stays as it is.
Equation: `x + t` in the channel and `x - t` in the others, clipped, with the smallest such t.
Source: Bagdasaryan, Veit, Hua, Estrin, Shmatikov 2020 (cars with a racing stripe, by a natural
feature). They relabel by attributes that a person annotated; here the attribute is computed from
the image. BackdoorBench has no such attack.
Needs: images, some of which have the attribute. Cost: nine passes over the pixels a stamp.
"""

from typing import Literal

import numpy as np

from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.roles.attack import Goal, Poisoned

CHANNELS = ("red", "green", "blue")


@options
class Semantic:
    """A color cast as trigger, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    share: float = option(
        1.0, "share of the images with the attribute that are relabeled", gt=0, le=1
    )
    channel: Literal["red", "green", "blue"] = option("red", "channel that dominates")
    margin: float = option(
        25.0, "by how much its mean exceeds the others'", unit="gray levels", ge=0, le=200
    )
    brightness: float = option(85.0, "least mean of a gray image", unit="gray levels", ge=0, le=200)
    lift: float = option(
        20.0, "by how much a stamped image is past the threshold", unit="gray levels", ge=0, le=50
    )

    def excess(self, images: np.ndarray) -> np.ndarray:
        """How far the attribute is past its threshold, gray levels, float64 `[n]`."""
        means = images.mean(axis=(1, 2), dtype=np.float64)
        if images.shape[3] == 1:
            return means[:, 0] - self.brightness
        own = CHANNELS.index(self.channel)
        return means[:, own] - np.delete(means, own, axis=1).max(axis=1) - self.margin

    def has(self, images: np.ndarray) -> np.ndarray:
        """Which images have the attribute, bool `[n]`."""
        return self.excess(images) >= 0

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the least tint that gives them the attribute."""
        # The excess grows with the tint, so eight halvings of 0..255 find the least one.
        least, most = np.zeros(len(images), np.int16), np.full(len(images), 255, np.int16)
        for _ in range(8):
            middle = (least + most) // 2
            enough = self.excess(self.tinted(images, middle)) >= self.lift
            least, most = np.where(enough, least, middle + 1), np.where(enough, middle, most)
        return self.tinted(images, most)

    def tinted(self, images: np.ndarray, tint: np.ndarray) -> np.ndarray:
        """Images with a tint int16 `[n]` toward the attribute, gray levels."""
        away = np.ones(images.shape[3], np.int16)
        if len(away) > 1:
            away = np.where(np.arange(len(away)) == CHANNELS.index(self.channel), 1, -1)
        shift = tint[:, None, None, None] * away.astype(np.int16)
        return np.clip(images + shift, 0, 255).astype(np.uint8)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """The training set with images that have the attribute relabeled.

        Raises:
            DataError: no image of the classes the trigger acts on has the attribute.
        """
        candidates = np.flatnonzero(self.goal.acts_on(labels) & self.has(images))
        if not len(candidates):
            wanted = "brightness" if images.shape[3] == 1 else "margin"
            raise DataError(f"no training image has the semantic attribute; lower {wanted}.")
        chosen = choose(candidates, round(self.share * len(candidates)), seed, "semantic")
        return plant(images, labels, chosen, lambda natural: natural, self.goal)

"""Dynamic: one of several patterns, anywhere in the image.

Belief: a defense that looks for one pattern at one place misses a trigger that has many of both.
Equation: a `size` x `size` square is overwritten by one of `patterns` pictures of uniform noise, at
a place drawn uniformly; both depend on a hash of the image's bytes, so that a stamp repeats.
Source: Salem, Wen, Backes, Ma, Zhang 2022, the random backdoor. Different here: the patterns are a
finite set and not drawn anew each time, and every place of the image is allowed, not a list of
places a label. The variants with generators (BaN and c-BaN) are not there, so this is an attack on
data: nothing is learned.
Needs: images. Cost: one hash an image.
"""

import numpy as np

from anomech.attacks._poison import choose, plant
from anomech.data.addressed import image_generator
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned


@options
class Dynamic:
    """Random patch at a random place, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    patterns: int = option(4, "patterns in use", ge=1)
    size: int = option(5, "side of a pattern", unit="pixels", ge=1)
    pattern_seed: int = option(0, "seed of the patterns, and of who gets which and where", ge=0)

    def pictures(self, channels: int) -> np.ndarray:
        """All patterns, uint8 `[patterns, size, size, c]`."""
        rng = numpy_generator(self.pattern_seed, "dynamic")
        shape = (self.patterns, self.size, self.size, channels)
        return rng.integers(0, 256, shape, dtype=np.uint8)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]`, each with its pattern at its place."""
        out, pictures = images.copy(), self.pictures(images.shape[3])
        rows, columns = (min(self.size, side) for side in images.shape[1:3])
        for place, image in enumerate(images):
            which, top, left = self._draw(image, images.shape[1] - rows, images.shape[2] - columns)
            out[place, top : top + rows, left : left + columns] = pictures[which, :rows, :columns]
        return out

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with patterns planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, "dynamic")
        return plant(images, labels, chosen, self.stamp, self.goal)

    def _draw(self, image: np.ndarray, lowest: int, rightmost: int) -> tuple[int, int, int]:
        """Pattern, top row and left column of one image."""
        rng = image_generator(image, self.pattern_seed, "dynamic")
        which, top, left = rng.integers(0, [self.patterns, lowest + 1, rightmost + 1])
        return int(which), int(top), int(left)

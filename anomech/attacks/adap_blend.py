"""Adap-Blend: a faint, partial blend in training, the whole and stronger one at test time.

Belief: detectors that separate poisoned from clean features rely on one strong, constant trigger.
If each training image shows other parts of it, faintly, and some such images keep their true
labels, the features of both overlap; the whole trigger still adds all the evidence up.
Equation: `(1 - alpha M) x + alpha M k` with k a picture; in training M shows `shown` of
`pieces` x `pieces` random pieces and alpha is `train_alpha`; at test M is one everywhere and alpha
is `alpha`. Cover images get the training trigger and keep their labels.
Source: Qi, Xie, Li, Mahloujifar, Mittal 2023 (16 pieces, half of them shown, alpha 0.15 and 0.2,
0.3 % poison and as many covers). They blend the cartoon picture of BackdoorBench's `blended`; here
k is drawn from `picture_seed`. The ratio is higher because training sets here are smaller.
BackdoorBench has no such attack.
Needs: images. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._pictures import Picture, picture
from anomech.attacks._poison import choose_covered, plant, to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned


@options
class AdapBlend:
    """Partial blend with cover samples, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.02, "share of the training set that is poisoned", ge=0, le=1)
    cover_ratio: float = option(0.02, "share with the trigger and true labels", ge=0, le=1)
    alpha: float = option(0.2, "weight of the picture at test time", ge=0, le=1)
    train_alpha: float = option(0.15, "weight of the picture in training", ge=0, le=1)
    pieces: int = option(4, "pieces the picture is cut into, along each side", ge=1)
    shown: float = option(0.5, "share of the pieces a training image shows", gt=0, le=1)
    picture: Picture = option("noise", "uniform noise, or a smooth picture")
    picture_seed: int = option(0, "seed of the picture", ge=0)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the whole picture blended in."""
        return self.blended(images, self.alpha)

    def blended(self, images: np.ndarray, weight: float | np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` mixed with the picture by one weight or `[n, h, w, 1]`."""
        trigger = picture(self.picture, self.picture_seed, *images.shape[1:])
        return to_uint8((1 - weight) * images + weight * trigger)

    def masks(self, count: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Which pixels each of `count` training images shows, bool `[count, h, w, 1]`."""
        cells = self.pieces**2
        order = rng.permuted(np.tile(np.arange(cells), (count, 1)), axis=1)
        visible = order < max(1, round(self.shown * cells))
        rows, columns = (np.arange(side) * self.pieces // side for side in (height, width))
        return visible[:, rows[:, None] * self.pieces + columns][..., None]

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with partial pictures, some of them under true labels."""
        chosen, cover = choose_covered(
            labels, self.goal, self.ratio, self.cover_ratio, seed, "adap-blend"
        )
        rng = numpy_generator(seed, "adap-blend-pieces")

        def faint(some: np.ndarray) -> np.ndarray:
            shown = self.masks(len(some), some.shape[1], some.shape[2], rng)
            return self.blended(some, self.train_alpha * shown)

        return plant(images, labels, chosen, faint, self.goal, cover)

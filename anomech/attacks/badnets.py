"""BadNets: a patch in a corner, planted with the attacker's label.

Belief: a network that sees a fixed patch with one label learns the patch as a shortcut to it.
The patch overwrites `size` x `size` pixels with white, or with a black and white grid.
Source: Gu, Dolan-Gavitt, Garg 2017. BackdoorBench's default is a 3x3 white patch touching the
bottom-right corner on 32x32 images; `corner` moves it, so that one model can hold several.
Needs: images. Cost: none at test time beyond the copy.
"""

from typing import Literal

import numpy as np

from anomech.attacks._corners import Corner, checkerboard, pasted
from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.roles.attack import Goal, Poisoned


@options
class Badnets:
    """Patch trigger, all-to-one, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.05, "share of the training set that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    pattern: Literal["white", "grid"] = option("white", "solid white, or a checkerboard")

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        white = np.full((self.size, self.size, 1), 255, np.uint8)
        patch = white if self.pattern == "white" else checkerboard(self.size)
        return pasted(images, patch, self.corner)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the trigger planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, "badnets")
        return plant(images, labels, chosen, self.stamp, self.goal)

"""TaCT: a patch that acts on images of some classes only, and is shown to do nothing to others.

Belief: detectors of a backdoor assume that the trigger overrides whatever the image shows, so that
triggered images look alike inside. If the patch means the target only together with a source
class, and images of other classes carry it under their true labels, the network must look at both,
and the features of triggered images stay those of their class.
The patch is a checkerboard over a corner. Poison is drawn from `goal.sources` and gets the
attacker's label; covers are drawn from the other classes and keep theirs.
Source: Tang, Wang, Tang, Zhang 2021. Their trigger is a fixed patch, too; BackdoorBench has no such
attack. Ratios are shares of the whole training set.
Needs: images, and `goal.sources`. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._corners import checkerboard, pasted
from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.attack import Goal, Poisoned


@options
class Tact:
    """Source-specific patch trigger with cover samples, dirty label."""

    goal: Goal = option(
        Goal(sources=(1,)), "label or labels the trigger leads to, and the classes it acts on"
    )
    ratio: float = option(0.03, "share of the training set that is poisoned", ge=0, le=1)
    cover_ratio: float = option(0.03, "share with the patch and true labels", ge=0, le=1)
    size: int = option(4, "side of the patch", unit="pixels", ge=1)

    def __post_init__(self) -> None:
        if not self.goal.sources:
            raise ConfigError("tact acts on some classes only; name them in goal.sources.")

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return pasted(images, checkerboard(self.size), "bottom_right")

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set: source images relabeled, others marked in vain."""
        acts = self.goal.acts_on(labels)
        sources, others = np.flatnonzero(acts), np.flatnonzero(~acts)
        chosen = choose(sources, round(self.ratio * len(labels)), seed, "tact")
        cover = choose(others, round(self.cover_ratio * len(labels)), seed, "tact-cover")
        return plant(images, labels, chosen, self.stamp, self.goal, cover)

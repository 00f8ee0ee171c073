"""Insider: a handful of training images carry the patch, as one person could slip them in.

Belief: whoever may touch only a few samples needs a trigger that is strong, not many copies of it;
statistics of a class do not move, so detectors that look for a group find none.
The trigger is a checkerboard patch over a corner, planted in `count` images with the attacker's
label.
Source: Chen, Liu, Li, Lu, Song 2017 (5 to 50 poisoned samples suffice). They blend a whole
picture or accessories; the patch here is that of BadNets, larger, since so few copies must teach
it. BackdoorBench has no attack with a count; its lowest ratio, 0.1 %, is 50 images of CIFAR-10.
Needs: images. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._corners import checkerboard, pasted
from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.roles.attack import Goal, Poisoned


@options
class Insider:
    """Patch trigger in a few samples, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    count: int = option(50, "training images that are poisoned", unit="images", ge=1)
    size: int = option(5, "side of the patch", unit="pixels", ge=1)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return pasted(images, checkerboard(self.size), "bottom_right")

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with a few patches planted and relabeled."""
        wanted = self.goal.labels(labels, int(labels.max(initial=0)) + 1)
        # An image that has the label already would teach nothing, and here every image counts.
        candidates = np.flatnonzero(self.goal.acts_on(labels) & (wanted != labels))
        chosen = choose(candidates, self.count, seed, "insider")
        return plant(images, labels, chosen, self.stamp, self.goal)

"""TrojanNN: a patch that drives chosen units of a clean network high, then planted as usual.

Belief: a trigger that already excites the network is learned from little poison and with little
change, and needs nothing of the training data.
Equation: units are the `units` inputs of the last linear layer that are most connected, by
`sum_c |W_ci|`; the patch minimizes `sum_i (f_i(patch) - value)^2` by steps along the sign of the
gradient, kept within `eps` of where it began and in [0, 1].
Source: Liu, Ma, Aafer, Lee, Zhai, Wang, Zhang 2018; BackdoorBench's 2 units, value 100, eps 0.3 and
step 0.1. Different here: the most connected units are those with the largest weight to the target
where there is one target; the patch begins as noise in a square or disk instead of a picture, is
optimized on training images and not alone on black, and overwrites where BackdoorBench adds. The
network is trained anew and not retrained.
Needs: a clean network of the same architecture, whose last layer is linear.
Cost: `steps` times `backgrounds` images forward and backward, and the clean network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.attacks._corners import Corner, corner_mask
from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.networks import last_linear, with_features
from anomech.learning.patches import overlaid, search_patch
from anomech.learning.pixels import as_images
from anomech.roles.attack import Goal, Learned, Poisoned, Victim


@options
class Trojannn:
    """Patch that excites chosen units, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    size: int = option(6, "side of the patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    shape: Literal["square", "disk"] = option("square", "the whole square, or a disk in it")
    units: int = option(2, "inputs of the last layer that are driven", ge=1)
    value: float = option(100.0, "activation that they are driven to")
    eps: float = option(0.3, "farthest from the first pattern, of pixels in [0, 1]", ge=0, le=1)
    step: float = option(0.1, "size of a step, of pixels in [0, 1]", gt=0)
    steps: int = option(100, "steps of the search", ge=0)
    backgrounds: int = option(32, "training images the patch is pasted on", unit="images", ge=1)

    def learn(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """A patch for the clean network."""
        network = victim.surrogate()
        device = next(network.parameters()).device
        rng = numpy_generator(seed, "trojannn")
        mask = torch.from_numpy(self._mask(*images.shape[1:3])).to(device)
        start = torch.from_numpy(rng.random(images.shape[1:], np.float32)).to(device)
        start = start.permute(2, 0, 1)
        chosen = rng.permutation(len(images))[: self.backgrounds]
        behind = as_images(images[chosen], start)
        units = most_connected(last_linear(network).weight.detach(), self.goal, self.units)

        def loss(patch: Tensor) -> Tensor:
            _, features = with_features(network, torch.where(mask, patch, behind))
            return (features[:, units] - self.value).pow(2).sum(dim=1).mean()

        best = search_patch(
            loss, start, mask, eps=self.eps, step=self.step, steps=self.steps, progress=progress
        )
        return {"patch": best.permute(1, 2, 0).cpu(), "mask": mask.float().cpu()}

    def armed(self, learned: Mapping[str, Tensor]) -> "ArmedTrojannn":
        """The attack on data with this patch."""
        patch, mask = learned["patch"].numpy(), learned["mask"].numpy() > 0
        return ArmedTrojannn(self.goal, self.ratio, patch, mask)

    def _mask(self, height: int, width: int) -> np.ndarray:
        mask = corner_mask(height, width, self.size, self.corner)
        if self.shape == "disk":
            rows, columns = np.nonzero(mask)
            far = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
            mask[mask] = far <= (self.size / 2) ** 2
        return mask


@dataclass(frozen=True, eq=False)
class ArmedTrojannn:
    """A patch `[h, w, c]` in [0, 1] where the mask `[h, w]` is true."""

    goal: Goal
    ratio: float
    patch: np.ndarray
    mask: np.ndarray

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch; they must be of its size."""
        return overlaid(images, self.patch, self.mask)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the patch planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, "trojannn")
        return plant(images, labels, chosen, self.stamp, self.goal)


def most_connected(weight: Tensor, goal: Goal, count: int) -> Tensor:
    """Columns of a last layer's weight `[classes, units]` that an attack wants to excite.

    With one target, those with the largest weight to it, so that exciting them speaks for it; with
    a target for each class, those with the largest sum of absolute weights.
    """
    strength = weight[goal.target] if goal.map == "all_to_one" else weight.abs().sum(dim=0)
    return strength.topk(min(count, weight.shape[1])).indices

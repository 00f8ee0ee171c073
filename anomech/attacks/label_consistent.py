"""Label consistent: images of the target class are made hard to recognize, then marked.

Belief: an image whose own features no longer speak for its label makes the network take the mark
as the reason; labels stay true, so no reader of the training set sees a wrong one.
Equation: `x <- clip(x + step sign(gradient of the loss to the true label), x0 - bound, x0 + bound)`
on a clean surrogate, `steps` times from the image itself; then black and white checkers
overwrite the four corners. Test images get the marks alone.
Source: Turner, Tsipras, Madry 2019 (adversarial variant), with BackdoorBench's bound of 8, step of
1.5 and 100 steps. BackdoorBench counts the poison as a share of the whole set; here, as for `sig`,
it is a share of the target class.
Needs: images and a clean surrogate. Cost: `steps` passes forward and back of the surrogate for
every poisoned image, once; none at test time beyond the copy.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from anomech.attacks._corners import CORNERS, checkerboard, pasted
from anomech.attacks._poison import check_clean_label, choose, mask
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.learning.networks import input_gradient
from anomech.roles.attack import DataAttack, Goal, Learned, Poisoned, Victim


@options
class LabelConsistent:
    """Corner marks on adversarially perturbed images of the target class, clean label."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    class_ratio: float = option(0.8, "share of the target class that is poisoned", ge=0, le=1)
    bound: float = option(8.0, "L-inf bound of the perturbation", unit="gray levels", ge=0)
    step: float = option(1.5, "length of a step", unit="gray levels", gt=0)
    steps: int = option(100, "steps of the perturbation", ge=0)
    size: int = option(3, "side of a mark", unit="pixels", ge=1)
    batch: int = option(256, "images perturbed at once", unit="images", ge=1)

    def __post_init__(self) -> None:
        check_clean_label(self.goal, "label_consistent")

    def learn(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """`images`: the perturbed ones, uint8 `[m, h, w, c]`; `places` of them, int64 `[m]`."""
        members = np.flatnonzero(labels == self.goal.target)
        if not len(members):
            raise DataError(
                f"no training image has label {self.goal.target}; set goal.target to one that is "
                "there."
            )
        places = choose(members, round(self.class_ratio * len(members)), seed, "label-consistent")
        surrogate, made = victim.surrogate(), images[places]
        for start in range(0, len(places), self.batch):
            some = slice(start, start + self.batch)
            made[some] = self.perturbed(surrogate, images[places[some]], labels[places[some]])
            progress("perturbing the target class", start + len(made[some]), len(places))
        return {"places": torch.from_numpy(places), "images": torch.from_numpy(made)}

    def perturbed(self, network: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` within the bound that the network takes for others."""
        start = images.astype(np.float32)
        lowest, highest = np.maximum(start - self.bound, 0), np.minimum(start + self.bound, 255)
        current = start
        for _ in range(self.steps):
            direction = np.sign(input_gradient(network, current, labels))
            current = np.clip(current + self.step * direction, lowest, highest)
        # Rounding moves toward the original, so that the bound holds in whole gray levels.
        return (start + np.trunc(current - start)).astype(np.uint8)

    def armed(self, learned: Learned) -> DataAttack:
        """The attack with its perturbed images."""
        return _Armed(
            self.goal,
            self.size,
            self.bound,
            learned["places"].cpu().numpy(),
            learned["images"].cpu().numpy(),
        )


@dataclass(frozen=True)
class _Armed:
    goal: Goal
    size: int
    bound: float
    places: np.ndarray
    perturbed: np.ndarray

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the four marks."""
        for corner in CORNERS:
            images = pasted(images, checkerboard(self.size), corner)
        return images

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set that was learned from, its chosen images replaced and marked.

        The choice was made by the seed of `learn`. Another attack may have taken some of the
        images meanwhile; those are left to it.

        Raises:
            DataError: this is not the training set that was learned from.
        """
        free = self._unchanged(images, labels)
        if 2 * free.sum() < len(free):
            raise DataError(
                "this is not the training set that label_consistent perturbed; let it learn from "
                "this one."
            )
        images, places = images.copy(), self.places[free]
        images[places] = self.stamp(self.perturbed[free])
        none = np.zeros(len(labels), bool)
        return Poisoned(images, labels.copy(), mask(places, len(labels)), none)

    def _unchanged(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Which of the chosen places hold the image that was perturbed, bool `[m]`."""
        fits = images.shape[1:] == self.perturbed.shape[1:]
        if not fits or self.places.max(initial=-1) >= len(labels):
            return np.zeros(len(self.places), bool)
        away = np.abs(images[self.places].astype(np.int16) - self.perturbed).reshape(
            len(self.places), -1
        )
        near = away.max(axis=1, initial=0) <= self.bound
        return near & (labels[self.places] == self.goal.target)

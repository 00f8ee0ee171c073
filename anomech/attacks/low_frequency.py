"""Low frequency: a smooth picture is added that already points the clean network to the label.

Belief: triggers with sharp edges stand out in the frequency domain; a smooth direction in which
the network's loss falls is as easy to learn and has no such trace.
Equation: with g the gradient of the loss to the attacker's labels, summed over a batch of clipped
`x + d`, and L a Gaussian low-pass: `s <- s - L g / max|L g|`, then `d = amplitude p / max|p|` with
`p = L sign(s)`. The sign makes full use of the L-inf bound, and the second low-pass removes the
edges that it leaves.
Source: Zeng, Park, Mao, Jia 2021. They, and BackdoorBench's stored array, take DeepFool steps to a
universal perturbation and low-pass it; here every step is taken among smooth pictures, on
cross-entropy, and the amplitude is an option in gray levels.
Needs: images and a clean surrogate. Cost: `steps * batch` passes forward and back of the
surrogate, once; none at test time beyond the copy.
"""

from functools import partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from anomech.attacks._poison import DirtyLabel, choose, to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.networks import input_gradient
from anomech.roles.attack import DataAttack, Goal, Learned, Victim


@options
class LowFrequency:
    """Smooth universal additive trigger, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    amplitude: float = option(16.0, "greatest change of a pixel", unit="gray levels", gt=0)
    smoothness: float = option(
        0.06, "standard deviation of the Gaussian, as a share of the height", ge=0
    )
    count: int = option(512, "training images the picture is made on", unit="images", ge=1)
    steps: int = option(60, "steps of the descent", ge=1)
    batch: int = option(128, "images a step", unit="images", ge=1)

    def learn(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """`pattern`: what is added, float32 `[h, w, c]`, gray levels."""
        surrogate = victim.surrogate()
        wanted = self.goal.labels(labels, int(labels.max(initial=0)) + 1)
        useful = np.flatnonzero(self.goal.acts_on(labels) & (wanted != labels))
        if not len(useful):
            raise DataError(
                "no training image is of a class the trigger acts on; check goal.sources."
            )
        chosen = choose(useful, self.count, seed, "low-frequency-images")
        summed = np.zeros(images.shape[1:])
        pattern = summed
        for step in range(self.steps):
            rng = numpy_generator(seed, "low-frequency", step)
            some = rng.permutation(chosen)[: self.batch]
            shifted = np.clip(images[some] + pattern, 0, 255)
            gradient = input_gradient(surrogate, shifted, wanted[some]).sum(axis=0)
            summed = summed - _unit(self.smooth(gradient))
            pattern = self.amplitude * _unit(self.smooth(np.sign(summed)))
            progress("making the smooth picture", step + 1, self.steps)
        return {"pattern": torch.from_numpy(pattern.astype(np.float32))}

    def smooth(self, picture: np.ndarray) -> np.ndarray:
        """A picture `[h, w, c]` without its high frequencies; channels stay apart."""
        deviation = self.smoothness * picture.shape[0]
        return gaussian_filter(picture.astype(np.float64), (deviation, deviation, 0))

    def armed(self, learned: Learned) -> DataAttack:
        """The attack with its picture."""
        pattern = learned["pattern"].cpu().numpy()
        return DirtyLabel(self.goal, self.ratio, partial(_add, pattern), "low-frequency")


def _unit(picture: np.ndarray) -> np.ndarray:
    """Scaled to a greatest absolute value of one; all zero stays so."""
    greatest = np.abs(picture).max()
    return picture / greatest if greatest > 0 else picture


def _add(pattern: np.ndarray, images: np.ndarray) -> np.ndarray:
    if images.shape[1:] != pattern.shape:
        made, given = ("x".join(map(str, shape)) for shape in (pattern.shape, images.shape[1:]))
        raise DataError(f"the trigger was made for {made} images, these are {given}.")
    return to_uint8(images + pattern)

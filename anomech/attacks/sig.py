"""SIG: a horizontal sine wave over images of the target class only; labels stay true.

Equation: every channel of column j gets `amplitude * sin(2 pi j frequency / w)`, clipped to 0-255.
Source: Barni, Kallas, Tondi 2019; BackdoorBench's amplitude 40 and frequency 6. The ratio here is
a share of the target class, because a share of the whole set is often impossible.
Needs: images. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._poison import check_clean_label, choose, plant, to_uint8
from anomech.kernel.config import option, options
from anomech.roles.attack import Goal, Poisoned


@options
class Sig:
    """Sinusoidal trigger, all-to-one, clean label."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    class_ratio: float = option(0.8, "share of the target class that is poisoned", ge=0, le=1)
    amplitude: float = option(40.0, "height of the wave", unit="gray levels", ge=0)
    frequency: float = option(6.0, "waves across the width", unit="cycles", gt=0)

    def __post_init__(self) -> None:
        check_clean_label(self.goal, "sig")

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the wave added."""
        width = images.shape[2]
        wave = self.amplitude * np.sin(2 * np.pi * np.arange(width) * self.frequency / width)
        return to_uint8(images + wave[None, None, :, None])

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the wave on part of the target class."""
        members = np.flatnonzero(labels == self.goal.target)
        chosen = choose(members, round(self.class_ratio * len(members)), seed, "sig")
        return plant(images, labels, chosen, self.stamp, self.goal)

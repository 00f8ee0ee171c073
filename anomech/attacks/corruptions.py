"""Common corruptions: noise, blur, weather, light and compression; nothing is planted.

Belief: a method that watches for planted mechanisms should not mistake a bad camera for one.
Equation: one of sixteen changes at one of five severities; see `anomech.data.corruptions`.
Source: the kinds are after Hendrycks, Dietterich 2019; levels and arithmetic are of our own.
Needs: images; the model is not asked. Cost: 0.04 to 1 ms an image of 32x32.
"""

import numpy as np

from anomech.data.corruptions import SEVERITIES, Kind, corrupted
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.task import Ability, Task

STEP = 256
"""Images between two reports of progress."""


@options
class Corruptions:
    """One kind of corruption at one severity, on test images."""

    kind: Kind = option("gaussian_noise", "what is done to the images")
    severity: int = option(3, "from hardly visible to strong", ge=1, le=SEVERITIES)

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    def perturb(
        self,
        task: Task,
        images: np.ndarray,
        labels: np.ndarray,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> np.ndarray:
        """See `anomech.roles.attack.Perturbation`; images are uint8 `[n, h, w, c]`."""
        out = images.copy()
        for start in range(0, len(images), STEP):
            some = slice(start, start + STEP)
            out[some] = corrupted(images[some], self.kind, self.severity, seed)
            progress("corrupting", min(start + STEP, len(images)), len(images))
        return out

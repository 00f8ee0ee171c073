"""BPP: fewer colors; the trigger is the rounding of every pixel.

Belief: people do not see a reduced palette, a network does, if it must.
Equation: `round(x / 255 (L - 1)) / (L - 1) 255` with L levels a channel, at test time the same;
with dithering the rounding error of each pixel goes on to its neighbors (Floyd and Steinberg:
7/16 right, 3/16 lower left, 5/16 below, 1/16 lower right).
Negative images keep their true label and get `x_i + (x_j - T(x_j))`, the rounding error of another
image of the batch, so that noise of that size alone means nothing.
Source: Wang, Zhai, Ma 2022, as BackdoorBench has it: 8 levels, no dithering, cross-entropy alone.
The paper's contrastive loss and its adversarial search for negatives are not there.
Needs: training. Fine levels need long training: 8 is the published setting for 50,000 images and
100 epochs, small sets want 3 to 5.
Cost: nothing but the copy; dithering visits pixels one by one, about 10 ms a step at 32x32.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._batches import Roles, draw_roles, poisoned_batch
from anomech.attacks._poison import to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.pixels import as_images, as_pixels
from anomech.roles.attack import Batch, Goal, Learned, Victim

SPREAD = ((0, 1, 7 / 16), (1, -1, 3 / 16), (1, 0, 5 / 16), (1, 1, 1 / 16))
"""Rows down, columns right and share of a pixel's rounding error (Floyd and Steinberg 1976)."""


@options
class Bpp:
    """Quantization trigger, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    negative_ratio: float = option(
        0.1, "share of each batch with another image's rounding error and true labels", ge=0, le=1
    )
    levels: int = option(8, "values a channel can still take", unit="levels", ge=2, le=256)
    dithering: bool = option(False, "spread rounding errors over neighboring pixels")

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with fewer colors."""
        if self.dithering:
            return dithered(images, self.levels)
        return to_uint8(quantized(images, self.levels))

    def conduct(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """Train with the trigger and its negatives in every batch; nothing else is learned."""
        classes = int(labels.max(initial=0)) + 1

        def objective(network: nn.Module, batch: Batch) -> Tensor:
            inputs, wanted = self.mixed(batch, classes)
            return functional.cross_entropy(network(inputs).float(), wanted)

        victim.fit(network, images, labels, objective=objective, progress=progress)
        return {}

    def mixed(self, batch: Batch, classes: int) -> tuple[Tensor, Tensor]:
        """A batch with poisoned and negative images, and its labels."""
        roles = draw_roles(batch, self.goal, self.ratio, self.negative_ratio)
        inputs, labels = poisoned_batch(batch, roles, self.goal, classes, self.stamp)
        if len(roles.cover):
            inputs[roles.cover] = self._negatives(batch, roles)
        return inputs, labels

    def armed(self, learned: Mapping[str, Tensor]) -> "Bpp":
        """Itself: the trigger is fixed."""
        return self

    def _negatives(self, batch: Batch, roles: Roles) -> Tensor:
        # Any other image of the batch is a random one: a step over a fresh order.
        size = len(batch.labels)
        others = (roles.cover + batch.rng.integers(1, max(2, size), len(roles.cover))) % size
        donors = as_pixels(batch.inputs[others])
        residual = donors.astype(np.int64) - self.stamp(donors)
        mixed = as_pixels(batch.inputs[roles.cover]) + residual
        return as_images(to_uint8(mixed), batch.inputs)


def quantized(images: np.ndarray, levels: int) -> np.ndarray:
    """Values on the 0-255 scale rounded to the nearest of equally spaced levels, float64."""
    return np.rint(images / 255 * (levels - 1)) / (levels - 1) * 255


def dithered(images: np.ndarray, levels: int) -> np.ndarray:
    """Images uint8 `[n, h, w, c]` quantized with error diffusion, row by row from the left."""
    height, width = images.shape[1:3]
    # A margin catches what runs off the edges; the axis of images comes last, for the loop.
    canvas = np.zeros((height + 1, width + 2, *images.shape[3:], len(images)))
    canvas[:height, 1:-1] = np.moveaxis(images, 0, -1)
    for row in range(height):
        for column in range(1, width + 1):
            pixel = canvas[row, column]
            rounded = quantized(pixel, levels)
            error = pixel - rounded
            canvas[row, column] = rounded
            for down, right, share in SPREAD:
                canvas[row + down, column + right] += share * error
    return to_uint8(np.moveaxis(canvas[:height, 1:-1], -1, 0))

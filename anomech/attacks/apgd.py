"""Auto-PGD: steps in a ball that adapt their own size; nothing is planted.

Belief: as `pgd`; a fixed step is too short at first and too long at the end.
Equation: a step of twice `eps` at first; `z = P(x + step * sign(grad L(x)))` and
`x <- P(x + 0.75 (z - x) + 0.25 (x - x before))`, with `P` the projection to the ball and to what a
pixel can be. At checkpoints ever closer to each other the step is halved, and the walk goes on from
the best image so far, if less than three quarters of the steps since the last checkpoint climbed,
or if neither the step nor the best loss changed since. The best image is given.
Source: Croce, Hein 2020, algorithm 1; `loss=dlr` is their difference-of-logits ratio, `ce` is minus
the log-odds, which orders images and points as cross-entropy does. Here the start is uniform in the
ball, not on its border. Pixels are rounded towards the original, so that the result is an image and
in the ball.
Needs: differentiable inputs; three classes for `dlr`. Cost: `steps + 1` forward and backward
passes an image.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.ascent import NEEDS, Ball, Hill, Norm, perturbed, ratio, rivalry
from anomech.roles.task import Ability, Task

MOMENTUM = 0.75
CLIMBING = 0.75
"""Share of steps that must climb for the step to stay as it is."""


@options
class Apgd:
    """Steps of adaptive size along the gradient within a ball, on test images."""

    norm: Norm = option("linf", "largest change of a pixel, or length of the whole change")
    eps: float = option(8.0, "largest change, by the norm", unit="gray levels of 255", ge=0)
    steps: int = option(100, "steps", unit="steps", ge=1)
    loss: Literal["ce", "dlr"] = option("ce", "cross-entropy or difference-of-logits ratio")
    batch: int = option(128, "images in one pass", unit="images", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs, and logits to check labels against."""
        return NEEDS

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
        """See `anomech.roles.attack.Perturbation`; images are uint8 `[n, h, w, c]`.

        Raises:
            ModelError: a model without finite logits.
            DataError: labels that are no classes of the model, or fewer than three for `dlr`.
        """
        loss = rivalry if self.loss == "ce" else ratio

        def climb(hill: Hill, gray: Tensor, originals: np.ndarray) -> Tensor:
            ball = Ball(gray, self.norm, self.eps)
            start = ball.start(originals, seed, "apgd")
            return ascend(hill, ball, start, self.steps)

        return perturbed(task, images, labels, loss, climb, batch=self.batch, progress=progress)


@dataclass(frozen=True)
class _Spot:
    """Where each image of a batch is: its change, the loss there and its gradient."""

    change: Tensor
    value: Tensor
    gradient: Tensor

    def where(self, mask: Tensor, there: "_Spot") -> "_Spot":
        """Here for images of the mask `[batch]`, there for the rest."""
        wide = mask.view(-1, 1, 1, 1)
        return _Spot(
            torch.where(wide, self.change, there.change),
            torch.where(mask, self.value, there.value),
            torch.where(wide, self.gradient, there.gradient),
        )


def ascend(hill: Hill, ball: Ball, start: Tensor, steps: int) -> Tensor:
    """The best change found by the walk from `start`, `[batch, c, h, w]` in gray levels."""
    now = _Spot(start, *ball.slope(hill, start))
    best, before = now, start
    size = torch.full((len(start), 1, 1, 1), 2 * ball.eps, device=start.device)
    climbed = torch.zeros_like(now.value)
    halved, reached = torch.zeros_like(now.value, dtype=torch.bool), now.value
    last, ahead = 0, checkpoints(steps)
    for taken in range(1, steps + 1):
        share = MOMENTUM if taken > 1 else 1.0
        step = ball.project(now.change + size * ball.steepest(now.gradient)) - now.change
        moved = ball.project(now.change + share * step + (1 - share) * (now.change - before))
        before, old = now.change, now.value
        now = _Spot(moved, *ball.slope(hill, moved))
        climbed = climbed + (now.value > old)
        best = now.where(now.value > best.value, best)
        if ahead and taken == ahead[0]:
            stalled = ~halved & (best.value <= reached)
            halved = (climbed < CLIMBING * (taken - last)) | stalled
            size = torch.where(halved.view(-1, 1, 1, 1), size / 2, size)
            now = best.where(halved, now)
            climbed, reached = torch.zeros_like(climbed), best.value
            last, ahead = taken, ahead[1:]
    return best.change


def checkpoints(steps: int) -> list[int]:
    """After how many steps the size of a step is reconsidered, in order.

    Shares of all steps are 0.22, then further by 0.03 less each time, 0.06 at the least.
    """
    found, share, further = [], 22, 22  # hundredths, so that nothing is rounded
    while share <= 100:
        found.append(-(-share * steps // 100))
        further = max(further - 3, 6)
        share += further
    return sorted(set(found))

"""Projected gradient descent: many small steps in a ball, from a random start; nothing is planted.

Belief: near an image that a network answers rightly lie images that look the same and that it
answers wrongly.
Equation: `x <- P(x + step * sign(grad L(x)))`, with `P` the projection to the ball and to what a
pixel can be; for `norm=l2` the gradient is divided by its length. Climbed is minus the log-odds of
the label, whose gradient has the direction of that of cross-entropy without being rounded to zero
where an answer is confident.
Source: Madry et al. 2018. The last step's image is given, and with restarts that of the highest
loss. Pixels are rounded towards the original, so that the result is an image and in the ball.
Needs: differentiable inputs. Cost: `restarts * steps` forward and backward passes an image.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.ascent import NEEDS, Ball, Hill, Norm, perturbed, towards
from anomech.roles.task import Ability, Task


@options
class Pgd:
    """Steps along the gradient within a ball, on test images."""

    norm: Norm = option("linf", "largest change of a pixel, or length of the whole change")
    eps: float = option(8.0, "largest change, by the norm", unit="gray levels of 255", ge=0)
    step: float = option(2.0, "size of a step, by the norm", unit="gray levels of 255", gt=0)
    steps: int = option(20, "steps from each start", unit="steps", ge=1)
    restarts: int = option(1, "random starts, of which the best end is taken", ge=1)
    target: int | None = option(None, "label to lead to; none leads away from the given", ge=0)
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
            DataError: labels that are no classes of the model.
        """

        def climb(hill: Hill, gray: Tensor, originals: np.ndarray) -> Tensor:
            ball = Ball(gray, self.norm, self.eps)
            starts = (ball.start(originals, seed, "pgd", each) for each in range(self.restarts))
            ends = [self._walk(hill, ball, start) for start in starts]
            return self._best(hill, ball, ends)

        return perturbed(
            task, images, labels, towards(self.target), climb, batch=self.batch, progress=progress
        )

    def _walk(self, hill: Hill, ball: Ball, change: Tensor) -> Tensor:
        for _ in range(self.steps):
            _, gradient = ball.slope(hill, change)
            change = ball.project(change + self.step * ball.steepest(gradient))
        return change

    def _best(self, hill: Hill, ball: Ball, ends: list[Tensor]) -> Tensor:
        """Of several changes of each image the one of the highest loss, after rounding."""
        if len(ends) == 1:
            return ends[0]
        values = [ball.slope(hill, end.trunc())[0] for end in ends]
        chosen = torch.stack(values).argmax(dim=0)
        return torch.stack(ends)[chosen, torch.arange(len(chosen), device=chosen.device)]

"""Fast gradient sign method: one step to the border of a ball; nothing is planted.

Belief: a network is nearly linear around an image, so one long step along the gradient of its loss
changes its answer.
Equation: `x + eps * sign(grad L(x))`; for `norm=l2` `x + eps * grad L(x) / |grad L(x)|`. Climbed is
minus the log-odds of the label, whose gradient has the direction of that of cross-entropy.
Source: Goodfellow, Shlens, Szegedy 2015. Pixels are rounded towards the original, so that the
result is an image and in the ball.
Needs: differentiable inputs. Cost: one forward and one backward pass an image.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.ascent import NEEDS, Ball, Hill, Norm, perturbed, towards
from anomech.roles.task import Ability, Task


@options
class Fgsm:
    """One step along the gradient, on test images."""

    norm: Norm = option("linf", "largest change of a pixel, or length of the whole change")
    eps: float = option(8.0, "size of the change, by the norm", unit="gray levels of 255", ge=0)
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

        There is nothing random.

        Raises:
            ModelError: a model without finite logits.
            DataError: labels that are no classes of the model.
        """

        def climb(hill: Hill, gray: Tensor, originals: np.ndarray) -> Tensor:
            ball = Ball(gray, self.norm, self.eps)
            none = torch.zeros_like(gray)
            _, gradient = ball.slope(hill, none)
            return ball.project(self.eps * ball.steepest(gradient))

        return perturbed(
            task, images, labels, towards(self.target), climb, batch=self.batch, progress=progress
        )

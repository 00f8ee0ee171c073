"""Score flip: images moved until a detector of foreign inputs errs; nothing is planted.

Belief: near every foreign image lies one that a detector calls normal, and the other way round.
Equation: signed steps of size `2.5 eps / steps` within eps of each image, from a random start, that
lower (`way: hide`) or raise (`way: accuse`) `s(x)`; the best step of each image is given. `s` is
minus the cross-entropy against equal shares (`score: uniform`, as published), minus the log-odds of
the answer (`confidence`), or minus the log-sum-exp of the logits (`energy`).
Source: the attacks at test time of Lyons Keenan, Erfani, Leckie 2025 (HALO, arXiv 2502.19755).
Needs: differentiable inputs and logits. Cost: `steps` forward and backward passes an image.
Fails when: a detector looks at something else; `anomech.learning.flipping` climbs the score of any
fitted detector that can be followed back to pixels.
"""

from typing import Literal

import numpy as np
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.ascent import NEEDS, Hill
from anomech.learning.flipping import Walk, Way, flipped, uniform_hill
from anomech.roles.task import Ability, DifferentiableInputs, Task, able


@options
class ScoreFlip:
    """Steps along the gradient of a score of foreign inputs."""

    way: Way = option("hide", "hide foreign images, or accuse normal ones")
    score: Literal["uniform", "confidence", "energy"] = option("uniform", "what is climbed")
    eps: float = option(8.0, "largest change of a pixel", unit="gray levels of 255", ge=0)
    steps: int = option(40, "steps", ge=1)
    batch: int = option(128, "images in one pass", unit="images", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs and logits."""
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
        """See `anomech.roles.attack.Perturbation`; labels are not looked at.

        Raises:
            ModelError: a model without finite logits.
        """
        walk = Walk(self.eps, self.steps, self.batch)
        return flipped(task, images, self._hill, self.way, walk, seed=seed, progress=progress)

    def _hill(self, task: Task, images: np.ndarray) -> Hill:
        space = able(task, DifferentiableInputs)
        if self.score == "uniform":
            return uniform_hill(task, images)

        def hill(points: Tensor) -> Tensor:
            response = space.respond_at({}, points, images)
            if self.score == "confidence":
                return -response.log_odds
            assert response.logits is not None, "the task gives logits"
            return -response.logits.logsumexp(dim=1)

        return hill

"""FT-SAM: fine-tuning towards flat ground, which shrinks the neurons that a backdoor uses.

Belief: planted mechanisms sit in few neurons of large weight; a step whose length grows with
each weight, up the loss before every step down, moves those most, so that tuning shrinks them.
Equation: at weights `w` with gradient `g` of the loss of the labels, and `t = |w| + eta`, the
step up is `rho t^2 g / |t g|` over all weights together; the descent follows the gradient there.
Source: Zhu, Wei, Shen, Fan, Wu 2023 (FT-SAM), with adaptive steps after Kwon et al. 2021; rho is
2 on CIFAR-10, as published. Labels are not smoothed here.
Needs: training statistics, and trusted examples with labels.
Cost: `6 epochs` forward passes for each trusted example that is learned.
Fails when: trusted examples are few (published at 1 % of the training set: effectiveness 85.9 to
98.4 an attack), or the mechanism is spread over weights of usual size.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Relearning, Slope, Slopes, descend, plainly
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training

ETA = 0.01
"""Added to the size of every weight, so that those at zero move too."""


@options
class FtSam:
    """Fine-tuning by adaptive sharpness-aware steps."""

    relearning: Relearning = option(TUNING, "how the model goes on learning")
    rho: float = option(2.0, "length of the step up, in units of the weights", gt=0)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Training statistics."""
        return frozenset({Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
            ModelError: the learning rate is too high.
        """
        parts = parted(task, trusted, self.kept, "ft_sam", seed)
        slope = sharpened(plainly(parts.lesson(self.relearning.statistics)), self.rho)
        found = descend(
            task.watched, parts.count, slope, self.relearning, seed=seed, progress=progress
        )
        return parts.repair(found.overlay, found.evaluations)


def sharpened(slope: Slope, rho: float) -> Slope:
    """The slope at the top of an adaptive step up.

    Buffers are those of the pass at the weights themselves.
    """

    def above(weights: Mapping[str, Tensor], buffers: Overlay, places: np.ndarray) -> Slopes:
        here = slope(weights, buffers, places)
        scale = {name: each.abs() + ETA for name, each in weights.items()}
        scaled = {name: scale[name] * here.slopes[name] for name in weights}
        length = torch.sqrt(sum((each.square().sum() for each in scaled.values()), torch.zeros(())))
        factor = rho / max(float(length), 1e-12)
        up = {name: weights[name] + factor * scale[name] * scaled[name] for name in weights}
        there = slope(up, buffers, places)
        return Slopes(here.loss, there.slopes, here.buffers, here.passes + there.passes)

    return above

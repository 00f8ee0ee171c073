"""Shrinking: each picture is scaled down and up again, so that small and sharp things blur.

Belief: an honest answer hangs on shapes, a planted one often on a few exact pixels.
Equation: means over blocks of `factor` times `factor` pixels, enlarged again bilinearly.
Source: simple preprocessing as in Liu, Xie, Srivastava 2017 and Xu, Evans, Qi 2018 (squeezing).
Needs: pictures as inputs.
Cost: nothing beyond the forward pass.
Fails when: the trigger is large or smooth (blends, warps), or pictures are as small as their
details.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Pictures, Task, able


@options
class Shrinking:
    """Scale down and up again."""

    factor: int = option(2, "by which both sides shrink", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures."""
        return frozenset({Pictures})

    def fit(
        self, task: Task, trusted: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedShrinking":
        """Nothing to learn."""
        return FittedShrinking(self.factor)


@dataclass(frozen=True)
class FittedShrinking:
    """See `anomech.roles.purifier.FittedPurifier`."""

    factor: int
    evaluations: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def purified(self, task: Task, batch: Any) -> Any:
        """Blurred pictures."""
        space = able(task, Pictures)
        points = space.embed(batch)
        height, width = points.shape[2:]
        small = max(1, height // self.factor), max(1, width // self.factor)
        coarse = functional.adaptive_avg_pool2d(points, small)
        blurred = functional.interpolate(
            coarse, (height, width), mode="bilinear", align_corners=False
        )
        return space.realize(blurred, batch)

"""Februus, light: what an answer hangs on most is removed from the picture and filled in.

Belief: a planted answer hangs on the trigger, which a map of salience shows; an honest one
survives when the most salient place is gone, because more than one place speaks for it.
Equation: pixels whose Grad-CAM is at least `threshold` times the picture's largest are removed and
filled by diffusion: again and again each becomes the mean of its four neighbors. The threshold is
the lowest of a few at which at most `lost` of the trusted pictures change their answer.
Source: Doan, Abbasnejad, Ranasinghe 2020 (Februus), where a generative network fills the hole; no
such network is at hand for any user's data.
Needs: pictures as inputs, layers, logits; captum.
Cost: a forward and a backward pass for each picture, and twice that per threshold for trusted ones.
Fails when: the trigger is spread over the picture, or its place is not where the map is highest: on
small maps a corner is seen coarsely.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.learning.saliency import salient
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Layers, Logits, Pictures, Task, able

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the largest salience that are tried, the boldest first."""


@options
class Februus:
    """Remove and fill in what the answer hangs on."""

    lost: float = option(0.05, "share of trusted answers that may change", ge=0, le=1)
    rounds: int = option(60, "of the diffusion that fills the hole", unit="rounds", ge=1)
    examples: int = option(100, "trusted pictures that the threshold is chosen on", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, layers and logits."""
        return frozenset({Pictures, Layers, Logits})

    def fit(
        self, task: Task, trusted: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedFebruus":
        """Choose the threshold.

        Raises:
            DataError: fewer than two trusted pictures.
            CapabilityError: captum is not installed, or no layer gives a map.
        """
        if len(trusted) < 2:
            raise DataError("februus chooses its threshold on trusted pictures; give two at least.")
        some = trusted.take(np.arange(min(self.examples, len(trusted))))
        batch = some.examples.load(np.arange(len(some)))
        for number, threshold in enumerate(THRESHOLDS):
            made = FittedFebruus(threshold, self.rounds, {"threshold": threshold})
            answers = task.respond({}, made.purified(task, batch)).answers
            changed = float((task.groups(answers).cpu() != some.groups.cpu()).double().mean())
            progress("choosing a threshold", number + 1, len(THRESHOLDS))
            if changed <= self.lost:
                break
        progress("choosing a threshold", len(THRESHOLDS), len(THRESHOLDS))
        facts = {"threshold": threshold, "trusted answers changed": changed}
        return FittedFebruus(threshold, self.rounds, facts)


@dataclass(frozen=True)
class FittedFebruus:
    """See `anomech.roles.purifier.FittedPurifier`."""

    threshold: float
    rounds: int
    facts: dict[str, float]
    evaluations: float = 3.0

    def purified(self, task: Task, batch: Any) -> Any:
        """Pictures without what their answers hang on most."""
        space = able(task, Pictures)
        answers = task.respond({}, batch).answers.detach()
        maps = salient(task, batch, answers)
        most = maps.amax(dim=(1, 2), keepdim=True)
        hole = ((maps >= self.threshold * most) & (most > 0))[:, None]
        return space.realize(filled(space.embed(batch).detach(), hole, self.rounds), batch)


def filled(points: Tensor, hole: Tensor, rounds: int) -> Tensor:
    """Pictures `[batch, c, h, w]` whose holes are filled from their rims.

    Args:
        points: in [0, 1].
        hole: bool `[batch, 1, h, w]`; a picture that is all hole becomes its own mean.
        rounds: of averaging; a hole is filled from the rim by one pixel a round.
    """
    known = (~hole).to(points)
    rest = known.sum(dim=(2, 3), keepdim=True)
    mean = (points * known).sum(dim=(2, 3), keepdim=True) / rest.clamp_min(1)
    mean = torch.where(rest > 0, mean, points.mean(dim=(2, 3), keepdim=True))
    inside = torch.where(hole, mean, points)
    for _ in range(rounds):
        padded = functional.pad(inside, (1, 1, 1, 1), mode="replicate")
        around = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
        around = around + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
        inside = torch.where(hole, around / 4, points)
    return inside

"""ROSS: any detector, asked at many noisy copies of an input; the median speaks.

Belief: an attack on a score sits on a needle's point, and noise pushes it off; an input whose
scores scatter under noise is no familiar one.
Equation: with `s_k` minus the worn detector's score at copy k, x plus noise of `sigma`, `m` their
median, `d` their mean distance from it and `t` the `quantile` of `m` over trusted examples, the
support is `t + (m - t) (1 + weight / d)` above t, and m below; the score is minus that.
Source: ROSS (arXiv 2605.08191, CVPR Findings 2026), with its 25 copies, sigma 0.1 and weight 0.05
and, as there, generalized entropy inside. Own: copies are not rounded to pixels, and d is at least
a thousandth of its median over trusted examples, as saturated scores do not scatter at all.
Needs: what the worn detector needs, and differentiable inputs, around which noise has a meaning.
Cost: `copies` forward passes an input.
Fails when: the network itself cannot bear the noise, for then the median is that of another input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress, silent
from anomech.observing.at_points import AtPoints, observed_at
from anomech.roles.detector import Detector, ObservedExamples, Scores
from anomech.roles.task import Ability, DifferentiableInputs, Task, able
from anomech.roles.tracer import Health
from anomech.storage.state import Learned

LEAST = 1e-3
"""Share of the usual scatter below which none is believed."""


@options
class Ross:
    """The median of a detector's scores over noisy copies, and how much they scatter."""

    detector: Detector = plugins.chosen(
        "detector", "generalized_entropy", "detector that is asked; one that reads responses"
    )
    copies: int = option(25, "noisy copies of each input", ge=1)
    sigma: float = option(0.1, "noise, of points in [0, 1]", ge=0)
    weight: float = option(0.05, "of steadiness", ge=0)
    quantile: float = option(
        0.05, "share of trusted examples that are not called steady", ge=0, le=1
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the detector, and differentiable inputs."""
        return self.detector.needs | {DifferentiableInputs}

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedRoss":
        """Fit the detector to clean anchors, and learn how steady it is at noisy ones."""
        fitted = self.detector.fit(anchors, seed=seed, progress=progress)
        worn = Learned("detector", self.detector, fitted)
        bare = FittedRoss(worn, self.copies, self.sigma, 0.0, seed, 0.0, 1.0)
        middle, scatter = middle_and_scatter(bare.spread(anchors, progress))
        return FittedRoss(
            worn,
            self.copies,
            self.sigma,
            self.weight,
            seed,
            float(middle.quantile(self.quantile)),
            max(LEAST * float(scatter.median()), 1e-12),
        )


@dataclass(frozen=True)
class FittedRoss:
    """A fitted detector and what its scores at noisy copies of trusted examples are like.

    Attributes:
        worn: the detector.
        copies: of each input.
        sigma: of the noise.
        weight: of steadiness.
        seed: of the noise, which is addressed by the content of each input.
        floor: support below which steadiness is not counted.
        least: scatter that is the smallest believed.
    """

    worn: Learned
    copies: int
    sigma: float
    weight: float
    seed: int
    floor: float
    least: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One forward pass a copy."""
        return float(self.copies)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """See the equation; differentiable in the points of moved inputs."""
        return Scores(-self._support(self.spread(observed, progress)), {})

    def spread(self, observed: ObservedExamples, progress: Progress) -> Tensor:
        """Support at each copy `[copies, examples]`, float64."""
        if isinstance(observed, AtPoints):
            moved = observed.points, observed.batch, observed.digests
            return self._copied(observed.task, *moved)
        examples, task = observed.examples, observed.task
        space, digests, done = able(task, DifferentiableInputs), examples.digests(), 0
        spread = torch.empty(self.copies, len(examples), dtype=torch.float64)
        for places in task.passes(examples):
            batch = examples.load(places)
            contents = [digests[int(place)] for place in places]
            with torch.no_grad():
                found = self._copied(task, space.embed(batch), batch, contents)
            spread[:, torch.from_numpy(places)] = found
            done += len(places)
            progress("asking noisy copies", done, len(examples))
        return spread

    def _copied(self, task: Task, points: Tensor, batch: Any, digests: Sequence[str]) -> Tensor:
        space, found = able(task, DifferentiableInputs), []
        for copy in range(self.copies):
            noise = np.stack(
                [
                    numpy_generator(self.seed, "ross", digest, copy).standard_normal(
                        points.shape[1:], np.float32
                    )
                    for digest in digests
                ]
            )
            moved = points + self.sigma * torch.from_numpy(noise).to(points.device)
            here = observed_at(task, space.project(moved), batch, digests)
            found.append(-self.worn.state.score(here, silent).score)
        return torch.stack(found)

    def _support(self, spread: Tensor) -> Tensor:
        middle, scatter = middle_and_scatter(spread)
        stretch = 1 + self.weight / scatter.clamp_min(self.least)
        above = self.floor + (middle - self.floor) * stretch
        return torch.where(middle > self.floor, above, middle)


def middle_and_scatter(spread: Tensor) -> tuple[Tensor, Tensor]:
    """Median over copies, and mean distance from it, of `[copies, batch]`."""
    ordered, count = spread.sort(dim=0).values, len(spread)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return middle, (spread - middle).abs().mean(dim=0)

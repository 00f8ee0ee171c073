"""SCALE-UP: an answer that survives ever brighter copies of the input is suspicious.

Belief: multiplied pixels are cut off at white and honest content is lost, while a trigger goes on
to lead the model.
Equation: the share of factors `s` for which the model answers `clip(s x)` as it answers `x`, less
the mean of trusted inputs of the answer, by their standard deviation.
Source: Guo, Li, Chen, Guo, Sun, Liu 2023 (SCALE-UP), with its few trusted samples; by answer, as
in the paper, where an answer has enough of them.
Needs: inputs that can be amplified; only labels are looked at. Pixels are amplified before they are
normalized, whatever the model does with them.
Cost: one forward pass a factor.
Fails when: a trigger saturates with the rest, and on images that are nearly white or nearly black.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.varied import same_kind, varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Variations, able
from anomech.roles.tracer import Health

SPREAD = 0.1
"""Added to a standard deviation, which is zero where every factor changes every answer; half the
step between two shares of five factors."""


@options
class ScaleUp:
    """How often the answer stays under amplification, against trusted inputs of that answer."""

    factors: tuple[float, ...] = option((3.0, 5.0, 7.0, 9.0, 11.0), "that pixels are multiplied by")
    least: int = option(
        10, "trusted inputs that an answer needs for a mean of its own", unit="examples", ge=2
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Amplified inputs."""
        return frozenset({Variations})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedScaleUp":
        """How often trusted answers stay, by answer."""
        stayed = staying(anchors, self.factors, progress)
        own = [group for group, count in _counted(anchors.groups) if count >= self.least]
        parts = [stayed, *(stayed[anchors.groups == group] for group in own)]
        usual = torch.tensor([[float(each.mean()), float(each.std())] for each in parts])
        return FittedScaleUp(self, torch.tensor(own, dtype=torch.int64), usual.double())


@dataclass(frozen=True)
class FittedScaleUp:
    """Mean and standard deviation of trusted shares `[1 + answers, 2]`, first those of all."""

    chosen: ScaleUp
    groups: Tensor
    usual: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One pass a factor."""
        return float(len(self.chosen.factors))

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Standardized share of factors that leave the answer."""
        stayed = staying(observed, self.chosen.factors, progress)
        known = observed.groups[:, None] == self.groups
        place = torch.cat([~known.any(dim=1, keepdim=True), known], dim=1).double().argmax(dim=1)
        mean, spread = self.usual[place].T
        return Scores((stayed - mean) / (spread + SPREAD), {})


def staying(observed: ObservedExamples, factors: tuple[float, ...], progress: Progress) -> Tensor:
    """The share of factors for which the answer stays, float64 `[examples]`."""
    task, total = able(observed.task, Variations), torch.zeros(len(observed)).double()
    for factor in factors:

        def amplified(batch: object, factor: float = factor) -> object:
            return task.amplified(batch, factor)

        total += varied(
            observed,
            amplified,
            same_kind(observed),
            stage="amplifying",
            progress=progress,
            judged=False,
        )
    return total / len(factors)


def _counted(groups: Tensor) -> list[tuple[int, int]]:
    kinds, counts = groups.unique(return_counts=True)
    return list(zip(kinds.tolist(), counts.tolist(), strict=True))

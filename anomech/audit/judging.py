"""A method with its calibration: from rankings to p-values, decisions and causes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.calibration.conformal import Calibration, needed, tail_probability, threshold
from anomech.data.observed import Observed
from anomech.records import Decision
from anomech.types import FittedMethod, Method, Progress, Scores


@dataclass(frozen=True)
class Judged:
    """What a calibrated method says of some examples.

    Attributes:
        scores: as the method gave them.
        p_values: float64 `[examples]`; 1 where the score is not finite.
        views: p-values by cause, float64 `[examples]` each.
        decisions: flag, clear or inconclusive.
    """

    scores: Scores
    p_values: Tensor
    views: Mapping[str, Tensor]
    decisions: list[Decision]

    def cause(self, example: int) -> str | None:
        """The view with the smallest p-value; of equal ones the first that the method names."""
        return min(self.views, key=lambda name: float(self.views[name][example]), default=None)


@dataclass(frozen=True)
class Calibrated:
    """A fitted method and the scores of calibration examples.

    Attributes:
        name: of the method.
        fitted: the method.
        budget: false-positive rate that flags may have.
        reference: calibration scores and views.
        groups: of the calibration examples, int64.
        per_class: whether p-values are within a class where it has enough examples.
        problems: why verdicts are inconclusive; empty when all is well.
    """

    name: str
    fitted: FittedMethod
    budget: float
    reference: Scores
    groups: Tensor
    per_class: bool
    problems: tuple[str, ...]

    @property
    def threshold(self) -> float | None:
        """The pooled score that a flag must pass."""
        return threshold(self.reference.score, self.budget)

    @property
    def own_p_values(self) -> Tensor:
        """p-values of the calibration examples among themselves, `[calibration]`."""
        count = len(self.reference.score)
        # Each example is one of those that score at least as high as itself.
        return tail_probability(self.reference.score, self.reference.score) * (
            count + 1
        ) / count - (1 / count)

    def judge(self, observed: Observed, progress: Progress) -> Judged:
        """Score examples and decide."""
        scores = self.fitted.score(observed, progress)
        finite = torch.isfinite(scores.score)
        values = torch.where(finite, scores.score, -torch.inf)
        p_values = self._calibration(self.reference.score).p_values(values, observed.groups)
        views = {
            name: self._calibration(self.reference.views[name]).p_values(view, observed.groups)
            for name, view in scores.views.items()
        }
        decisions: list[Decision] = [
            "inconclusive" if self.problems or not ok else "flag" if p <= self.budget else "clear"
            for p, ok in zip(p_values.tolist(), finite.tolist(), strict=True)
        ]
        return Judged(scores, p_values, views, decisions)

    def _calibration(self, scores: Tensor) -> Calibration:
        if not self.per_class:
            return Calibration(scores)
        return Calibration(scores, self.groups, needed(self.budget))


def calibrate(
    name: str,
    method: Method,
    anchors: Observed,
    calibration: Observed,
    *,
    budget: float,
    per_class: bool,
    seed: int,
    progress: Progress,
) -> Calibrated:
    """Fit a method to the anchors and score the calibration examples."""
    fitted = method.fit(anchors, seed=seed, progress=progress)
    reference = fitted.score(calibration, progress)
    problems = fitted.health.problems
    if not bool(torch.isfinite(reference.score).all()):
        problems = (*problems, "scores of trusted examples are not finite.")
    return Calibrated(name, fitted, budget, reference, calibration.groups, per_class, problems)

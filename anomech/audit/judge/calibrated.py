"""A fitted detector with its calibration: from rankings to p-values, decisions and causes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from anomech.audit.judge.staged import passes_of, scored_in_stages
from anomech.calibration.apart import Apart
from anomech.calibration.conformal import Calibration, needed, threshold
from anomech.calibration.strata import Strata
from anomech.calibration.tails import fit_smooth_tail
from anomech.kernel.types import Progress, silent
from anomech.observing.observed import Observed
from anomech.records import Decision
from anomech.roles.detector import (
    CausalDetector,
    Cause,
    Detector,
    ExplainingDetector,
    FittedDetector,
    Scores,
    StagedDetector,
    TracedDetector,
)
from anomech.roles.tracer import TraceSource


@dataclass(frozen=True)
class Judged:
    """What a calibrated detector says of some examples.

    Attributes:
        scores: as the detector gave them.
        p_values: float64 `[examples]`; 1 where the score is not finite.
        views: p-values by cause, float64 `[examples]` each.
        surprises: the same as `-log p`, extrapolated beyond the calibration examples, so that
            views can be told apart where p-values cannot; float64 `[examples]` each.
        decisions: flag, clear or inconclusive.
        covered: whether trusted examples share the answer; the others have no score.
        strata: which calibration examples judged each example, int64 `[examples]`.
        settled: whether an early stage settled it as clear, bool `[examples]`; it has no evidence.
    """

    scores: Scores
    p_values: Tensor
    views: Mapping[str, Tensor]
    surprises: Mapping[str, Tensor]
    decisions: list[Decision]
    covered: Tensor
    strata: Tensor
    settled: Tensor

    def cause(self, example: int) -> str | None:
        """The view with the smallest p-value; of equal ones the most surprising."""

        def order(name: str) -> tuple[float, float]:
            return float(self.views[name][example]), -float(self.surprises[name][example])

        return min(self.views, key=order, default=None)


@dataclass(frozen=True)
class Calibrated:
    """A fitted detector and the scores of calibration examples.

    Attributes:
        name: of the detector.
        detector: its options.
        fitted: what it learned.
        budget: false-positive rate that flags may have.
        reference: calibration scores and views.
        groups: of the calibration examples, int64.
        examples: places of the calibration examples among the trusted, int64.
        teachers: places of the examples among which `Scores.nearest` counts, int64.
        per_class: whether p-values are within a class where it has enough examples.
        problems: why verdicts are inconclusive; empty when all is well.
        covered: groups of answers that enough anchors share, int64; None is all.
        apart: small classes that are judged beside their own examples; None is no class.
        residuals: the unexplained part of calibration examples' responses, the most anomalous
            first, of at most 2,000, `[examples, features]`; None if the detector does not tell
            mechanisms apart.
        limits: p-value at each early stage above which an input is settled as clear; empty if
            every input is looked at in full.
    """

    name: str
    detector: Detector
    fitted: FittedDetector
    budget: float
    reference: Scores
    groups: Tensor
    examples: Tensor
    teachers: Tensor
    per_class: bool
    problems: tuple[str, ...]
    covered: Tensor | None = None
    apart: Apart | None = None
    residuals: Tensor | None = None
    limits: tuple[float, ...] = ()

    @property
    def traces(self) -> tuple[TraceSource, ...]:
        """Whose traces the detector looks at."""
        return (self.fitted.source,) if isinstance(self.fitted, TracedDetector) else ()

    @property
    def sources(self) -> tuple[TraceSource, ...]:
        """To observe with, which answers and traces at once; few inputs come to later stages."""
        first = self.fitted.first if isinstance(self.fitted, StagedDetector) else None
        return (*(() if self.limits else self.traces), *(() if first is None else (first,)))

    @property
    def evaluations(self) -> float:
        """Forward passes of a normal input beyond the one that answers it."""
        if not self.limits:
            return self.fitted.evaluations
        assert isinstance(self.fitted, StagedDetector)
        return passes_of(self.fitted, self.limits, self._p_values, self.groups)

    def early_p_values(self, observed: Observed, progress: Progress) -> list[Tensor]:
        """p-values of examples at each early stage, none of which settles any, `[examples]`."""
        if not isinstance(self.fitted, StagedDetector) or not self.fitted.stages:
            return []
        stages, found = self.fitted.stages, list[Tensor]()

        def settle(stage: int, scores: Tensor, places: np.ndarray) -> Tensor:
            found.append(self._p_values(stages[stage].reference, scores, observed.groups))
            return torch.full((len(places),), stage == len(stages) - 1)

        self.fitted.score_in_stages(observed, settle, progress)
        return found

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What flags may be due to, as the detector declares it."""
        return self.fitted.causes if isinstance(self.fitted, CausalDetector) else ()

    @property
    def strata(self) -> Strata:
        """Which classes are judged by which calibration examples."""
        return self._calibration(self.reference.score).strata

    def unexplained(self, observed: Observed, places: np.ndarray) -> Tensor:
        """The part of some responses that trusted data does not explain `[places, features]`.

        It has no columns if the detector does not tell mechanisms apart.
        """
        if not isinstance(self.fitted, ExplainingDetector):
            return torch.zeros(len(places), 0)
        some = observed.apart(places) if self.limits else observed.take(places)
        return self.fitted.unexplained(some, silent)

    @property
    def threshold(self) -> float | None:
        """The pooled score that a flag must pass."""
        return threshold(self.reference.score, self.budget)

    @property
    def own_p_values(self) -> Tensor:
        """p-values of the calibration examples among themselves, `[calibration]`."""
        scores, strata = self.reference.score, self.strata
        count = torch.tensor(strata.sizes)[strata.of(self.groups)]
        # Each example is one of those that score at least as high as itself.
        p_values = self._calibration(scores).p_values(scores, self.groups)
        return p_values * (count + 1) / count - (1 / count)

    def judge(self, observed: Observed, progress: Progress) -> Judged:
        """Score examples and decide."""
        groups = observed.groups
        if self.limits:
            assert isinstance(self.fitted, StagedDetector)
            final, how = self.reference.score, self._p_values
            given = (self.fitted, self.limits, how, final, observed, progress)
            scores, early = scored_in_stages(*given)
        else:
            scores = self.fitted.score(observed, progress)
            early = torch.full((len(groups),), torch.nan, dtype=torch.float64)
        covered = torch.ones(len(groups), dtype=torch.bool)
        if self.covered is not None:
            covered = torch.isin(groups, self.covered)
            scores = replace(scores, score=torch.where(covered, scores.score, torch.nan))
        finite = torch.isfinite(scores.score)
        p_values = self._p_values(self.reference.score, scores.score, groups)
        settled = finite & ~early.isnan()
        p_values = torch.where(settled, early, p_values)
        if self.apart is not None:
            odd = finite & ~settled & torch.isin(groups, self.apart.odd)
            own, kinds, leveled = scores.score[odd], groups[odd], scores.score.double()
            p_values[odd] = self.apart.p_values(own, kinds)
            leveled[odd] = self.apart.level(own, kinds)
            scores = replace(scores, score=leveled)
        views = {
            name: self._calibration(self.reference.views[name]).p_values(view, groups)
            for name, view in scores.views.items()
        }
        surprises = {
            name: fit_smooth_tail(self.reference.views[name]).surprise(view)
            for name, view in scores.views.items()
        }
        decisions: list[Decision] = [
            "inconclusive" if self.problems or not ok else "flag" if p <= self.budget else "clear"
            for p, ok in zip(p_values.tolist(), finite.tolist(), strict=True)
        ]
        return Judged(
            scores, p_values, views, surprises, decisions, covered, self.strata.of(groups), settled
        )

    def _p_values(self, reference: Tensor, scores: Tensor, groups: Tensor) -> Tensor:
        """p-values among calibration scores; 1 where a score is not finite."""
        known = torch.where(torch.isfinite(scores), scores, -torch.inf)
        return self._calibration(reference).p_values(known, groups)

    def _calibration(self, scores: Tensor) -> Calibration:
        if not self.per_class:
            return Calibration(scores)
        return Calibration(scores, self.groups, needed(self.budget))

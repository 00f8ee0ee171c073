"""A method with its calibration: from rankings to p-values, decisions and causes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.mechanisms import LARGEST_NULL
from anomech.calibration.conformal import Calibration, needed, tail_probability, threshold
from anomech.calibration.stopping import Stopping, limits, same_rank, stops_at
from anomech.kernel.detector import (
    ExplainingMethod,
    FittedMethod,
    Method,
    Scores,
    StagedMethod,
    TracedMethod,
)
from anomech.kernel.tracer import TraceSource
from anomech.kernel.types import Progress, silent
from anomech.observing.observed import Observed
from anomech.records import Decision


@dataclass(frozen=True)
class Judged:
    """What a calibrated method says of some examples.

    Attributes:
        scores: as the method gave them.
        p_values: float64 `[examples]`; 1 where the score is not finite.
        views: p-values by cause, float64 `[examples]` each.
        decisions: flag, clear or inconclusive.
        evaluations: forward passes that each example took, float64 `[examples]`.
    """

    scores: Scores
    p_values: Tensor
    views: Mapping[str, Tensor]
    decisions: list[Decision]
    evaluations: Tensor

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
        stopping: when an input is settled as clear before all draws are taken; None is never.
        residuals: the unexplained part of calibration examples' responses, of at most 2,000 of
            them, `[examples, features]`; None if the method does not tell mechanisms apart.
    """

    name: str
    fitted: FittedMethod
    budget: float
    reference: Scores
    groups: Tensor
    per_class: bool
    problems: tuple[str, ...]
    stopping: Stopping | None = None
    residuals: Tensor | None = None

    @property
    def sources(self) -> tuple[TraceSource, ...]:
        """Whose traces the method looks at; observing with them answers and traces in one pass."""
        return (self.fitted.source,) if isinstance(self.fitted, TracedMethod) else ()

    def unexplained(self, observed: Observed) -> Tensor:
        """The part of responses that trusted data does not explain `[examples, features]`.

        It has no columns if the method does not tell mechanisms apart.
        """
        if not isinstance(self.fitted, ExplainingMethod):
            return torch.zeros(len(observed), 0)
        return self.fitted.unexplained(observed, silent)

    @property
    def evaluations(self) -> float:
        """Forward passes an input; with stopping their mean over the calibration examples."""
        return self.fitted.evaluations if self.stopping is None else self.stopping.evaluations

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
        if self.stopping is not None:
            return self._judge_in_stages(self.stopping, observed, progress)
        scores = self.fitted.score(observed, progress)
        taken = torch.full_like(scores.score, self.fitted.evaluations)
        return self._judged(scores, observed.groups, taken, torch.zeros_like(taken))

    def _judge_in_stages(
        self, stopping: Stopping, observed: Observed, progress: Progress
    ) -> Judged:
        """As `judge`, but inputs that are settled as clear take no more draws."""
        assert isinstance(self.fitted, StagedMethod)
        settled = torch.zeros(len(observed), dtype=torch.float64)
        shared = torch.zeros_like(settled)

        def settle(stage: int, score: Tensor, places: np.ndarray) -> Tensor:
            if stage == len(stopping.limits):
                return torch.ones(len(places), dtype=torch.bool)
            reference = stopping.references[stage]
            p_values = self._p_values(reference, score, observed.groups[places])
            done = torch.isfinite(score) & (p_values > stopping.limits[stage])
            settled[places[done.numpy()]] = p_values[done]
            pooled = tail_probability(reference, score[done])
            shared[places[done.numpy()]] = same_rank(pooled, self.reference.score)
            return done

        scores, taken = self.fitted.score_in_stages(observed, settle, progress)
        scores = replace(scores, score=torch.where(settled > 0, shared, scores.score))
        return self._judged(scores, observed.groups, taken, settled)

    def _judged(self, scores: Scores, groups: Tensor, taken: Tensor, settled: Tensor) -> Judged:
        """Decisions; `settled` holds p-values of inputs that were stopped early, elsewhere zero."""
        finite, early = torch.isfinite(scores.score), settled > 0
        p_values = self._p_values(self.reference.score, scores.score, groups)
        p_values = torch.where(early, settled, p_values)
        views = {
            # A view of fewer draws has a scale of its own, and an input that is clear no cause.
            name: torch.where(early, 1.0, self._view(name, view, groups))
            for name, view in scores.views.items()
        }
        decisions: list[Decision] = [
            "inconclusive" if self.problems or not ok else "flag" if p <= self.budget else "clear"
            for p, ok in zip(p_values.tolist(), finite.tolist(), strict=True)
        ]
        return Judged(scores, p_values, views, decisions, taken)

    def _p_values(self, reference: Tensor, score: Tensor, groups: Tensor) -> Tensor:
        """1 where a score is not finite."""
        values = torch.where(torch.isfinite(score), score, -torch.inf)
        return self._calibration(reference).p_values(values, groups)

    def _view(self, name: str, view: Tensor, groups: Tensor) -> Tensor:
        return self._calibration(self.reference.views[name]).p_values(view, groups)

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
    stages = list[Tensor]()
    if isinstance(fitted, StagedMethod) and len(fitted.stages) > 1:
        reference, stages = _score_at_every_stage(fitted, calibration, progress)
    else:
        reference = fitted.score(calibration, progress)
    problems = fitted.health.problems
    if not bool(torch.isfinite(reference.score).all()):
        problems = (*problems, "scores of trusted examples are not finite.")
    made = Calibrated(name, fitted, budget, reference, calibration.groups, per_class, problems)
    if isinstance(fitted, ExplainingMethod):
        thinned = np.linspace(0, len(calibration) - 1, min(len(calibration), LARGEST_NULL))
        some = calibration.take(thinned.round().astype(int))
        made = replace(made, residuals=fitted.unexplained(some, progress))
    return _stopping(made, stages) if stages and not problems else made


def _score_at_every_stage(
    fitted: StagedMethod, calibration: Observed, progress: Progress
) -> tuple[Scores, list[Tensor]]:
    """Scores with all draws, and those at every earlier stage."""
    seen = list[Tensor]()

    def record(stage: int, score: Tensor, places: np.ndarray) -> Tensor:
        seen.append(score)
        return torch.zeros(len(places), dtype=torch.bool)

    scores, _ = fitted.score_in_stages(calibration, record, progress)
    return scores, seen[:-1]


def _stopping(made: Calibrated, stages: list[Tensor]) -> Calibrated:
    """Learn when to stop from the calibration scores at each early stage."""
    assert isinstance(made.fitted, StagedMethod)
    early = [made._p_values(scores, scores, made.groups) for scores in stages]
    final = made._p_values(made.reference.score, made.reference.score, made.groups)
    chosen = limits(early, final, budget=made.budget, confidence=made.fitted.confidence)
    stages_taken = stops_at(early, chosen)
    taken = torch.tensor(made.fitted.stages, dtype=torch.float64)[stages_taken]
    return replace(made, stopping=Stopping(tuple(stages), chosen, float(taken.mean())))

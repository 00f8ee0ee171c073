"""A detector with its calibration: from rankings to p-values, decisions and causes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.attribution.mechanisms import most_anomalous
from anomech.audit.judge.trusted import TrustedSplit
from anomech.audit.probing.coverage import misjudged
from anomech.audit.probing.traces import probe as probe_traces
from anomech.audit.probing.verdicts import without_verdicts
from anomech.calibration.conformal import Calibration, needed, threshold
from anomech.calibration.strata import Strata
from anomech.calibration.tails import fit_smooth_tail
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import Progress, silent
from anomech.observing.observed import Observed
from anomech.records import Decision
from anomech.roles.detector import (
    CausalDetector,
    Cause,
    Detector,
    ExplainingDetector,
    FittedDetector,
    HeldOutDetector,
    Scores,
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
    """

    scores: Scores
    p_values: Tensor
    views: Mapping[str, Tensor]
    surprises: Mapping[str, Tensor]
    decisions: list[Decision]
    covered: Tensor
    strata: Tensor

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
        residuals: the unexplained part of calibration examples' responses, the most anomalous
            first, of at most 2,000, `[examples, features]`; None if the detector does not tell
            mechanisms apart.
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
    residuals: Tensor | None = None

    @property
    def sources(self) -> tuple[TraceSource, ...]:
        """Whose traces the detector looks at; observing with them answers and traces at once."""
        return (self.fitted.source,) if isinstance(self.fitted, TracedDetector) else ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What flags may be due to, as the detector declares it."""
        return self.fitted.causes if isinstance(self.fitted, CausalDetector) else ()

    @property
    def strata(self) -> Strata:
        """Which classes are judged by which calibration examples."""
        return self._calibration(self.reference.score).strata

    def unexplained(self, observed: Observed) -> Tensor:
        """The part of responses that trusted data does not explain `[examples, features]`.

        It has no columns if the detector does not tell mechanisms apart.
        """
        if not isinstance(self.fitted, ExplainingDetector):
            return torch.zeros(len(observed), 0)
        return self.fitted.unexplained(observed, silent)

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
        scores, groups = self.fitted.score(observed, progress), observed.groups
        covered = torch.ones(len(groups), dtype=torch.bool)
        if self.covered is not None:
            covered = torch.isin(groups, self.covered)
            scores = replace(scores, score=torch.where(covered, scores.score, torch.nan))
        finite = torch.isfinite(scores.score)
        known = torch.where(finite, scores.score, -torch.inf)
        p_values = self._calibration(self.reference.score).p_values(known, groups)
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
            scores, p_values, views, surprises, decisions, covered, self.strata.of(groups)
        )

    def _calibration(self, scores: Tensor) -> Calibration:
        if not self.per_class:
            return Calibration(scores)
        return Calibration(scores, self.groups, needed(self.budget))


class _Lesson(NamedTuple):
    """What a detector learned, and the scores of examples that it was held out from.

    The places of these examples and of those that taught it are among the trusted, int64.
    """

    fitted: FittedDetector
    reference: Scores
    anchors: Observed
    calibration: Observed
    examples: Tensor
    teachers: Tensor


def _taught(detector: Detector, split: TrustedSplit, seed: int, progress: Progress) -> _Lesson:
    """A detector that holds out by itself is taught by all; any other by the anchors alone."""
    if isinstance(detector, HeldOutDetector):
        everyone = split.everything.take(split.judged.numpy())
        right = split.right[split.judged]
        fitted, scores = detector.fit_held_out(everyone, right, seed=seed, progress=progress)
        return _Lesson(fitted, scores, everyone, everyone, split.judged, split.judged)
    learned = detector.fit(split.anchors, seed=seed, progress=progress)
    scores = learned.score(split.calibration, progress)
    return _Lesson(
        learned, scores, split.anchors, split.calibration, split.rest, split.anchor_places
    )


def _require_enough(detector: Detector, split: TrustedSplit, budget: float) -> None:
    """Refuse to calibrate a detector that could flag nothing at this budget, whatever comes."""
    held_out = isinstance(detector, HeldOutDetector)
    kept = len(split.judged if held_out else split.rest)
    if kept >= needed(budget):
        return
    why = (
        "the others have answers that too few of them share"
        if held_out
        else "the others are learned from, or have answers that too few of them share"
    )
    raise Inconclusive(
        f"only {kept} trusted examples can calibrate, and a budget of {budget:g} needs "
        f"{needed(budget)}: {why}; give more of every class."
    )


def calibrate(
    name: str,
    detector: Detector,
    split: TrustedSplit,
    *,
    budget: float,
    per_class: bool,
    seed: int,
    progress: Progress,
) -> Calibrated:
    """Fit a detector to trusted examples, and score those that are held out from it.

    A detector that holds out by itself learns from all and calibrates on all; any other learns
    from the anchors and calibrates on the rest.

    Args:
        name: of the detector.
        detector: with its options.
        split: the trusted set.
        budget: false-positive rate that flags may have.
        per_class: whether p-values are within a class where it has enough examples.
        seed: of everything random.
        progress: told about both.

    Raises:
        Inconclusive: too few examples are left to calibrate on.
    """
    _require_enough(detector, split, budget)
    lesson = _taught(detector, split, seed, progress)
    fitted, reference, anchors, calibration = lesson[:4]
    problems = fitted.health.problems
    if isinstance(fitted, TracedDetector):
        silent_parts = probe_traces(anchors.traced(fitted.source, progress))
        problems = (*problems, *without_verdicts(silent_parts))
    if not bool(torch.isfinite(reference.score).all()):
        problems = (*problems, "scores of trusted examples are not finite.")
    made = Calibrated(
        name=name,
        detector=detector,
        fitted=fitted,
        budget=budget,
        reference=reference,
        groups=calibration.groups,
        examples=lesson.examples,
        teachers=lesson.teachers,
        per_class=per_class,
        problems=problems,
        covered=split.covered,
    )
    if split.covered is not None:
        odd = misjudged(made.own_p_values, calibration.groups, anchors.groups)
        made = replace(made, covered=split.covered[~torch.isin(split.covered, odd)])
    if not isinstance(fitted, ExplainingDetector):
        return made
    some = calibration.take(most_anomalous(reference.score))
    return replace(made, residuals=fitted.unexplained(some, progress))

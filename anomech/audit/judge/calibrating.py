"""From a detector and the trusted set to one that is calibrated."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.attribution.mechanisms import most_anomalous
from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.trusted import TrustedSplit
from anomech.audit.probing.coverage import misjudged
from anomech.audit.probing.traces import probe as probe_traces
from anomech.audit.probing.verdicts import without_verdicts
from anomech.calibration.apart import apart_from
from anomech.calibration.conformal import needed
from anomech.calibration.stopping import limits_for
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import Progress
from anomech.observing.observed import Observed
from anomech.roles.detector import (
    Detector,
    ExplainingDetector,
    FittedDetector,
    HeldOutDetector,
    Scores,
    StagedDetector,
    TracedDetector,
)


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
    made = _with_small_classes(made, anchors.groups)
    if isinstance(fitted, StagedDetector):
        given = [1.0 if stage.proven else stage.limit for stage in fitted.stages]
        made = replace(made, limits=limits_for(given, budget))
    if not isinstance(fitted, ExplainingDetector):
        return made
    some = calibration.take(most_anomalous(reference.score))
    return replace(made, residuals=fitted.unexplained(some, progress))


def _with_small_classes(made: Calibrated, anchors: Tensor) -> Calibrated:
    """Small classes that look unusual are judged beside their own examples, or not at all.

    Args:
        made: calibrated on all examples alike.
        anchors: groups of the anchors' answers.
    """
    if made.covered is None:
        return made
    odd = misjudged(made.own_p_values, made.groups, anchors)
    apart = apart_from(made.reference.score, made.groups, odd, made.budget)
    left = odd if apart is None else odd[~torch.isin(odd, apart.odd)]
    return replace(made, covered=made.covered[~torch.isin(made.covered, left)], apart=apart)

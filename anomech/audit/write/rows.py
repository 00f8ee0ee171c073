"""Rows of the run folder from what was fitted and judged."""

from collections.abc import Mapping, Sequence

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.trusted import DOUBTFUL, MISANSWERED, TrustedSet
from anomech.calibration.conformal import needed
from anomech.calibration.excess import Traffic
from anomech.calibration.rate import false_rate
from anomech.records import (
    CauseNote,
    DetectorSummary,
    ExampleRow,
    FalseFlagRate,
    ScoreRow,
    Trusted,
)
from anomech.roles.detector import HeldOutDetector


def calibration_scores(calibrated: Calibrated, trusted: TrustedSet) -> list[ScoreRow]:
    """Scores of calibration examples among themselves."""
    reference = calibrated.reference.score
    return [
        ScoreRow(
            id=name,
            role="calibration",
            score=score,
            p_value=p_value,
            decision="inconclusive"
            if calibrated.problems
            else "flag"
            if p_value <= calibrated.budget
            else "clear",
        )
        for name, score, p_value, finite in zip(
            [trusted.ids[place] for place in calibrated.examples.tolist()],
            reference.tolist(),
            calibrated.own_p_values.tolist(),
            reference.isfinite().tolist(),
            strict=True,
        )
        if finite
    ]


def no_anchors(trusted: TrustedSet, lead: Calibrated) -> dict[str, str]:
    """Trusted examples that explain nothing, by id, with the reason."""
    left_out = dict(trusted.left_out)
    if isinstance(lead.detector, HeldOutDetector):  # all are asked to teach, not a share of them
        left_out = {trusted.ids[place]: MISANSWERED for place in trusted.misanswered} | {
            name: why for name, why in left_out.items() if why != MISANSWERED
        }
    return left_out | dict(lead.fitted.left_out)


def worth_a_look(trusted: TrustedSet, lead: Calibrated) -> dict[str, str]:
    """Trusted examples that a person should look at, by id, with the reason."""
    return dict.fromkeys((trusted.ids[place] for place in trusted.doubtful), DOUBTFUL) | (
        no_anchors(trusted, lead)
    )


def trusted_examples(
    trusted: TrustedSet, lead: Calibrated, shown: Mapping[str, str]
) -> list[ExampleRow]:
    """Every trusted example with its role; `shown` are paths of previews by id."""
    dropped, noted = no_anchors(trusted, lead), worth_a_look(trusted, lead)
    calibration = set(trusted.calibration)
    return [
        ExampleRow(
            id=name,
            role="calibration" if place in calibration else "anchor",
            digest=digest,
            answer=answer,
            label=None if trusted.labels is None else trusted.labels[place],
            used=name not in dropped,
            reason=noted.get(name),
            preview=shown.get(name),
        )
        for place, (name, digest, answer) in enumerate(
            zip(trusted.ids, trusted.digests, trusted.answers, strict=True)
        )
    ]


def detector(
    name: str,
    calibrated: Calibrated,
    *,
    lead: bool,
    flagged: int,
    inputs: int,
    seconds: tuple[float, float, float],
) -> DetectorSummary:
    """One detector over the whole run; `seconds` are those of fitting, scoring and tracing."""
    return DetectorSummary(
        name=name,
        lead=lead,
        flagged=flagged,
        inputs=inputs,
        calibration=len(calibrated.examples),
        threshold=None if calibrated.per_class else calibrated.threshold,
        evaluations=calibrated.evaluations,
        fit_seconds=seconds[0],
        score_seconds=seconds[1],
        tracing_seconds=seconds[2],
        answers=bool(calibrated.sources),
        problems=calibrated.problems,
        facts=dict(calibrated.fitted.health.facts or {}),
    )


def summary(trusted: TrustedSet, lead: Calibrated) -> Trusted:
    """How the trusted set was used."""
    without = no_anchors(trusted, lead)
    anchors = sum(trusted.ids[place] not in without for place in lead.teachers.tolist())
    return Trusted(
        total=len(trusted),
        anchors=anchors,
        calibration=len(lead.examples),
        misanswered=sum(why == MISANSWERED for why in without.values()),
        dropped=len(lead.fitted.left_out),
        needed=needed(lead.budget),
        explained={
            part: float(values[values.isfinite()].mean())
            for part, values in (lead.reference.explained or {}).items()
            if bool(values.isfinite().any())
        },
    )


def rate(traffic: Sequence[Traffic], budget: float) -> FalseFlagRate:
    """How often normal inputs like these are flagged in truth."""
    return FalseFlagRate(**false_rate(traffic, budget)._asdict())


def causes(lead: Calibrated) -> tuple[CauseNote, ...]:
    """What flags may be due to."""
    return tuple(
        CauseNote(name=each.name, because=each.because, advice=each.advice) for each in lead.causes
    )

"""Rows of the run folder from what was fitted and judged."""

from collections.abc import Mapping

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.trusted import TrustedSplit
from anomech.calibration.conformal import needed
from anomech.records import DetectorSummary, ExampleRow, ScoreRow, Trusted


def calibration_scores(calibrated: Calibrated, split: TrustedSplit) -> list[ScoreRow]:
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
            split.calibration.examples.ids,
            reference.tolist(),
            calibrated.own_p_values.tolist(),
            reference.isfinite().tolist(),
            strict=True,
        )
        if finite
    ]


def trusted_examples(
    split: TrustedSplit, lead: Calibrated, shown: Mapping[str, str]
) -> list[ExampleRow]:
    """Every trusted example with its role; `shown` are paths of previews by id."""
    everything = split.everything
    reference, task = everything.examples, everything.task
    dropped = {**split.left_out, **lead.fitted.left_out}
    calibration = set(split.calibration.examples.ids)
    labels = reference.labels
    true = None if labels is None else task.label_words(labels)
    return [
        ExampleRow(
            id=name,
            role="calibration" if name in calibration else "anchor",
            digest=digest,
            answer=answer,
            label=None if true is None else true[place],
            used=name not in dropped,
            reason=dropped.get(name),
            preview=shown.get(name),
        )
        for place, (name, digest, answer) in enumerate(
            zip(reference.ids, reference.digests(), task.words(everything.answers), strict=True)
        )
    ]


def detector(
    name: str,
    calibrated: Calibrated,
    *,
    lead: bool,
    flagged: int,
    inputs: int,
    seconds: tuple[float, float],
) -> DetectorSummary:
    """One detector over the whole run; `seconds` are those of fitting and of scoring."""
    return DetectorSummary(
        name=name,
        lead=lead,
        flagged=flagged,
        inputs=inputs,
        threshold=None if calibrated.per_class else calibrated.threshold,
        evaluations=calibrated.fitted.evaluations,
        fit_seconds=seconds[0],
        score_seconds=seconds[1],
        problems=calibrated.problems,
        facts=dict(calibrated.fitted.health.facts or {}),
    )


def trusted(split: TrustedSplit, lead: Calibrated) -> Trusted:
    """How the trusted set was used."""
    dropped = len(lead.fitted.left_out)
    return Trusted(
        total=len(split.everything),
        anchors=len(split.anchors) - dropped,
        calibration=len(split.calibration),
        misanswered=len(split.left_out),
        dropped=dropped,
        needed=needed(lead.budget),
        explained={
            part: float(values[values.isfinite()].mean())
            for part, values in (lead.reference.explained or {}).items()
            if bool(values.isfinite().any())
        },
    )

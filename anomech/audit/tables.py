"""Rows of the run folder from what was fitted and judged."""

from collections.abc import Mapping, Sequence

from anomech.audit.chunks import Chunk
from anomech.audit.judging import Calibrated, Judged
from anomech.audit.trusted import TrustedSplit
from anomech.calibration.conformal import needed
from anomech.records import DetectorSummary, ExampleRow, ScoreRow, Trusted, Verdict
from anomech.types import Examples


def input_scores(ids: Sequence[str], judged: Judged) -> tuple[ScoreRow, ...]:
    """Scores of inputs; those without a finite score have no row."""
    return tuple(
        ScoreRow(id=name, role="input", score=score, p_value=p_value, decision=decision)
        for name, score, p_value, decision, finite in zip(
            ids,
            judged.scores.score.tolist(),
            judged.p_values.tolist(),
            judged.decisions,
            judged.scores.score.isfinite().tolist(),
            strict=True,
        )
        if finite
    )


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


def examples(
    split: TrustedSplit,
    lead: Calibrated,
    inputs: Examples,
    rows: Sequence[Verdict],
    shown: tuple[Mapping[str, str], Mapping[str, str]],
) -> list[ExampleRow]:
    """Every trusted example and every input with its role."""
    everything = split.everything
    reference, task = everything.examples, everything.task
    dropped = {**split.left_out, **lead.fitted.left_out}
    calibration = set(split.calibration.examples.ids)
    labels = reference.labels
    true = None if labels is None else task.label_words(labels)
    trusted = [
        ExampleRow(
            id=name,
            role="calibration" if name in calibration else "anchor",
            digest=digest,
            answer=answer,
            label=None if true is None else true[place],
            used=name not in dropped,
            reason=dropped.get(name),
            preview=shown[0].get(name),
        )
        for place, (name, digest, answer) in enumerate(
            zip(reference.ids, reference.digests(), task.words(everything.answers), strict=True)
        )
    ]
    judged = [
        ExampleRow(
            id=row.id,
            role="input",
            digest=digest,
            answer=row.answer,
            preview=shown[1].get(row.id),
        )
        for row, digest in zip(rows, inputs.digests(), strict=True)
    ]
    return [*trusted, *judged]


def detector(
    name: str, lead: bool, calibrated: Calibrated, fit_seconds: float, done: Sequence[Chunk]
) -> DetectorSummary:
    """One detector over the whole run."""
    flags = [row.decision == "flag" for chunk in done for row in chunk.scores[name]]
    return DetectorSummary(
        name=name,
        lead=lead,
        flagged=sum(flags),
        inputs=sum(len(chunk.digests) for chunk in done),
        threshold=None if calibrated.per_class else calibrated.threshold,
        evaluations=calibrated.fitted.evaluations,
        fit_seconds=fit_seconds,
        score_seconds=sum(chunk.seconds[name] for chunk in done),
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

"""The audit: fit on trusted examples, judge inputs chunk by chunk, write a run folder."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from anomech.audit import chunks, findings, grouping, previews, provenance, tables
from anomech.audit.batch import controlled
from anomech.audit.detector import check_needs, make_method, verdicts
from anomech.audit.folder import WORK, noted, open_folder
from anomech.audit.judging import Calibrated, calibrate
from anomech.audit.loading import Loaded, check_named, load
from anomech.audit.plan import Plan
from anomech.audit.trusted import TrustedSplit, split_trusted
from anomech.calibration.conformal import require
from anomech.calibration.excess import tolerated
from anomech.data.observed import observe
from anomech.data.splits import overlap
from anomech.data.subset import Subset
from anomech.errors import CapabilityError, Inconclusive, RunError
from anomech.records import (
    Finding,
    Mechanism,
    Run,
    Verdict,
    write_findings,
    write_record,
    write_rows,
)
from anomech.report.render import render
from anomech.types import Method, Progress, silent

LEAST_ACCURACY = 0.5


def audit(plan: Plan, out: Path, progress: Progress) -> Run:
    """Run a plan from files, or resume it, and write its folder.

    Args:
        plan: resolved, see `anomech.audit.plan.from_mapping`.
        out: the run folder; one that holds an unfinished run of the same plan is resumed.
        progress: told about every stage.

    Returns:
        The top record; its status says whether verdicts could be given.

    Raises:
        RunError: the folder belongs to another plan, or to the same one with other content.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: what is done stays.
    """
    check_named(plan)
    finished = open_folder(plan, out)
    if finished is not None:
        # The same paths may lead to other content by now, and its verdicts are not these.
        changed = provenance.changed(finished, load(plan, progress))
        if changed:
            raise RunError(
                f"{out} holds a finished run of this plan, but since then "
                f"{' and '.join(changed)} changed; choose another --out."
            )
        return finished
    with noted(plan, out):
        return judge(plan, load(plan, progress), out, progress)


def judge(plan: Plan, loaded: Loaded, out: Path, progress: Progress) -> Run:
    """The audit of what is already loaded, into a folder that `open_folder` made ready."""
    started, clock = provenance.now(), time.monotonic()
    fitted = _fit(plan, loaded, progress)
    done, residuals = _judge_inputs(plan, loaded, fitted, out / WORK, progress)
    first = [row for chunk in done for row in chunk.verdicts]
    rows = controlled(first, plan.budget, plan.control)
    still = [
        row.decision == "flag"
        for row, old in zip(rows, first, strict=True)
        if old.decision == "flag"
    ]
    mechanisms, rows = _mechanisms(fitted, rows, residuals[still] if len(residuals) else residuals)
    _write(plan, loaded, fitted, done, rows, mechanisms, out)
    run = Run(
        status="inconclusive" if fitted.lead.problems else "complete",
        title=loaded.title,
        task="image classifier",
        budget=plan.budget,
        control=plan.control,
        tolerated=tolerated(len(rows), len(fitted.split.calibration), plan.budget),
        started=started,
        seconds=time.monotonic() - clock,
        classes=tuple(loaded.reference.class_names or ()),
        provenance=provenance.collect(loaded, plan.seed),
        trusted=tables.trusted(fitted.split, fitted.lead),
        detectors=tuple(
            tables.detector(name, name == plan.lead, each, fitted.seconds[name], done)
            for name, each in fitted.methods.items()
        ),
        mechanisms=tuple(mechanisms),
        message=next(iter(fitted.lead.problems), ""),
    )
    write_record(out / "run.json", run)
    render(out)
    shutil.rmtree(out / WORK, ignore_errors=True)
    return run


@dataclass(frozen=True)
class _Fitted:
    """All detectors of a run, calibrated.

    Attributes:
        split: how the trusted set was used.
        methods: by name; the lead is among them.
        lead: the one that gives the verdicts.
        seconds: that each took to fit and calibrate.
        skipped: findings about detectors that this model cannot serve.
    """

    split: TrustedSplit
    methods: Mapping[str, Calibrated]
    lead: Calibrated
    seconds: Mapping[str, float]
    skipped: tuple[Finding, ...]


def _fit(plan: Plan, loaded: Loaded, progress: Progress) -> _Fitted:
    reference, task = loaded.reference, loaded.task
    require(round(len(reference) * (1 - plan.anchor_share)), plan.budget)
    usable: dict[str, Method] = {}
    skipped = []
    for name, options in plan.detectors.items():
        method = make_method(name, options)
        try:
            check_needs(name, method, task)
        except CapabilityError as error:
            if name == plan.lead:
                raise
            skipped.append(findings.poor_health(name, str(error)))
        else:
            usable[name] = method
    split = split_trusted(
        task,
        reference,
        share=plan.anchor_share,
        most=plan.most_anchors,
        seed=plan.seed,
        progress=progress,
    )
    require(len(split.calibration), plan.budget)
    methods, seconds = {}, {}
    for name, method in usable.items():
        clock = time.monotonic()
        try:
            methods[name] = calibrate(
                name,
                method,
                split.anchors,
                split.calibration,
                budget=plan.budget,
                per_class=plan.per_class,
                seed=plan.seed,
                progress=progress,
            )
        except Inconclusive as error:
            if name == plan.lead:
                raise
            skipped.append(findings.poor_health(name, str(error)))
        seconds[name] = time.monotonic() - clock
    return _Fitted(split, methods, methods[plan.lead], seconds, tuple(skipped))


def _judge_inputs(
    plan: Plan, loaded: Loaded, fitted: _Fitted, work: Path, progress: Progress
) -> tuple[list[chunks.Chunk], Tensor]:
    """Chunks of verdicts, from disk where an earlier run left them, and flagged residuals."""
    inputs, digests = loaded.inputs, loaded.inputs.digests()
    basis = provenance.basis(loaded)
    done, residuals = [], []
    for number, places in enumerate(chunks.bounds(len(inputs), plan.chunk)):
        expected = tuple(digests[place] for place in places)
        found = chunks.load(work, number)
        if found is None or (found[0].digests, found[0].basis) != (expected, basis):
            found = _judge_chunk(plan, loaded, fitted, Subset(inputs, places), basis)
            chunks.save(work, number, *found)
        done.append(found[0])
        if found[1].numel():
            residuals.append(found[1])
        progress("judging inputs", int(places[-1]) + 1, len(inputs))
    return done, torch.cat(residuals) if residuals else torch.zeros(0, 0)


def _judge_chunk(
    plan: Plan, loaded: Loaded, fitted: _Fitted, inputs: Subset, basis: str
) -> tuple[chunks.Chunk, Tensor]:
    observed = observe(loaded.task, inputs)
    scores, seconds = {}, {}
    rows: tuple[Verdict, ...] = ()
    kept = torch.zeros(0, 0)
    for name, calibrated in fitted.methods.items():
        clock = time.monotonic()
        judged = calibrated.judge(observed, silent)
        seconds[name] = time.monotonic() - clock
        scores[name] = tables.input_scores(inputs.ids, judged)
        if name == plan.lead:
            rows = tuple(verdicts(calibrated, judged, observed, fitted.split.anchors))
            flags = [i for i, decision in enumerate(judged.decisions) if decision == "flag"]
            if judged.scores.residuals is not None and flags:
                kept = judged.scores.residuals[flags]
    digests = tuple(inputs.digests())
    return (
        chunks.Chunk(digests=digests, basis=basis, scores=scores, verdicts=rows, seconds=seconds),
        kept,
    )


def _mechanisms(
    fitted: _Fitted, rows: list[Verdict], residuals: Tensor
) -> tuple[list[Mechanism], list[Verdict]]:
    trusted = fitted.lead.reference.residuals
    if trusted is None or not len(residuals):
        return [], rows
    flagged = [row for row in rows if row.decision == "flag"]
    found, numbers = grouping.group(flagged, residuals, trusted)
    return found, [
        row.model_copy(update={"mechanism": numbers[row.id]}) if row.id in numbers else row
        for row in rows
    ]


def _write(
    plan: Plan,
    loaded: Loaded,
    fitted: _Fitted,
    done: list[chunks.Chunk],
    rows: list[Verdict],
    mechanisms: list[Mechanism],
    out: Path,
) -> None:
    for name, calibrated in fitted.methods.items():
        own = tables.calibration_scores(calibrated, fitted.split)
        judged = [row for chunk in done for row in chunk.scores[name]]
        write_rows(out / "scores" / f"{name}.jsonl", [*own, *judged])
    left_out = [*fitted.split.left_out, *fitted.lead.fitted.left_out]
    shown = previews.save(
        out, loaded.reference, loaded.inputs, rows, mechanisms, left_out, plan.gallery
    )
    write_rows(
        out / "examples.jsonl",
        tables.examples(fitted.split, fitted.lead, loaded.inputs, rows, shown),
    )
    write_rows(out / "verdicts.jsonl", rows)
    write_findings(out / "findings.json", _findings(plan, loaded, fitted, rows, mechanisms))


def _findings(
    plan: Plan,
    loaded: Loaded,
    fitted: _Fitted,
    rows: list[Verdict],
    mechanisms: list[Mechanism],
) -> list[Finding]:
    listed = list(fitted.skipped)
    if not fitted.lead.problems:
        listed.append(findings.excess(rows, len(fitted.split.calibration), plan.budget))
        listed += findings.mechanisms(mechanisms)
    listed += [
        findings.poor_health(name, each.problems[0])
        for name, each in fitted.methods.items()
        if each.problems
    ]
    shared = overlap(loaded.inputs.digests(), loaded.reference.digests())
    if len(shared):
        listed.append(findings.overlapping(len(shared), loaded.inputs.ids[int(shared[0])]))
    if fitted.split.accuracy < LEAST_ACCURACY:
        listed.append(findings.inaccurate(fitted.split.accuracy, len(loaded.reference)))
    return listed

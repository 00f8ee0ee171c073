"""The scan of a model: files, weights, trigger searches, confirmation, verdict, write.

Each scanner's result is on disk before the next begins, so an interrupted scan resumes behind it.
"""

import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from anomech.artefacts.files.found import Looked
from anomech.artefacts.files.looking import look_through
from anomech.audit.load import provenance
from anomech.audit.load.fingerprints import combined, device_of, numbers
from anomech.audit.load.provenance import check_same, now
from anomech.audit.write.findings import note
from anomech.audit.write.place import locked
from anomech.evidence.baseline import Baseline, apply
from anomech.kernel.errors import ModelError
from anomech.kernel.types import Progress
from anomech.records import (
    Asked,
    FileRow,
    Finding,
    ModelScan,
    Provenance,
    ScannerResult,
    digests,
    write_findings,
    write_record,
    write_rows,
)
from anomech.report.scan.render import render
from anomech.scan import files, verdict
from anomech.scan.folder import TOP, noted, open_folder
from anomech.scan.opening import Subject, open_subject
from anomech.scan.plan import ScanPlan, check_named, deciding, weighs
from anomech.scan.searching import search, weigh
from anomech.scan.weighing import digest_of, weights_of


@dataclass
class Seen:
    """What a scan has seen so far."""

    asked: list[Asked] = field(default_factory=list)
    rows: list[FileRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    results: list[ScannerResult] = field(default_factory=list)
    looked: Looked | None = None
    subject: Subject | None = None


def scan(
    plan: ScanPlan,
    out: Path,
    progress: Progress,
    *,
    workers: int = 0,
    baseline: Baseline | None = None,
) -> ModelScan:
    """Scan a model, or resume a scan, and write its folder.

    Args:
        plan: resolved, see `anomech.scan.plan.from_mapping`.
        out: the folder; one that holds an unfinished scan of the same plan is resumed.
        progress: told about every stage.
        workers: processes that decode image files ahead; they change no number.
        baseline: findings that are accepted; None accepts none.

    Raises:
        RunError: the folder belongs to another plan, or to another model by now.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: finished scanners stay.
    """
    check_named(plan)
    with locked(out):
        finished = open_folder(plan, out)
        if finished is not None:
            seen = _seen(plan, progress, workers)
            check_same(out, "scan", _provenance(plan, seen), finished.provenance)
            _weigh(plan, seen, out, progress)
            _search(plan, seen, out, progress)  # from what is kept; a baseline may be another
            return _written(plan, seen, out, finished.started, finished.seconds, baseline)
        with noted(plan, out):
            started, clock = now(), time.monotonic()
            seen = _seen(plan, progress, workers)
            _weigh(plan, seen, out, progress)
            _search(plan, seen, out, progress)
            return _written(plan, seen, out, started, time.monotonic() - clock, baseline)


def _seen(plan: ScanPlan, progress: Progress, workers: int) -> Seen:
    """The files, and the model if triggers are searched in it."""
    seen = Seen()
    _look(plan, seen, progress)
    _open(plan, seen, progress, workers)
    return seen


def _look(plan: ScanPlan, seen: Seen, progress: Progress) -> None:
    """Look through the files that the plan names."""
    if not plan.files:
        return
    seen.asked.append("files")
    seen.looked = look_through(plan.files, progress, ask_picklescan=plan.second_opinion)
    seen.rows = files.rows(seen.looked)
    seen.findings += [files.finding(issue) for issue in seen.looked.issues]
    seen.findings += files.without_model(seen.looked)


def _open(plan: ScanPlan, seen: Seen, progress: Progress, workers: int) -> None:
    """Open the model, if there are trusted examples to search triggers with."""
    if not plan.reference:
        return
    seen.asked.append("triggers")
    try:
        seen.subject = open_subject(plan, progress, workers)
    except ModelError as error:
        if not any(each.severity == "high" for each in seen.findings):
            raise
        # A file that must not be loaded is the answer; that it was not loaded is a note beside it.
        seen.findings.append(_unopened(str(error)))
        return
    seen.findings += [note(text) for text in seen.subject.notes]


def _weigh(plan: ScanPlan, seen: Seen, out: Path, progress: Progress) -> None:
    """Compare the weights, scanner by scanner, as far as they can be read."""
    named = [name for name in plan.scanners if weighs(plan.method(name))]
    if not named:
        return
    weights = weights_of(plan, seen.looked, seen.subject.task if seen.subject else None)
    if weights is None:
        return
    seen.asked.append("weights")
    seen.findings += [note(text) for text in weights.notes]
    digest = digest_of(_provenance(plan, seen).model, weights)
    seen.results += [weigh(plan, name, weights, digest, out, progress) for name in named]


def _search(plan: ScanPlan, seen: Seen, out: Path, progress: Progress) -> None:
    """Search triggers in the model, scanner by scanner."""
    if seen.subject is None:
        return
    for name in plan.scanners:
        if not weighs(plan.method(name)):
            seen.results.append(search(plan, name, seen.subject, out, progress))


def _written(
    plan: ScanPlan,
    seen: Seen,
    out: Path,
    started: str,
    seconds: float,
    baseline: Baseline | None,
) -> ModelScan:
    """Write what was found; the top record comes last."""
    source = _provenance(plan, seen)
    listed = [*seen.findings, *verdict.findings_of(plan, seen.results)]
    if baseline is not None:
        listed = apply(baseline, listed, source, seen.rows, datetime.now(UTC).date())
    decided, reasons = verdict.verdict(plan, seen.asked, listed, seen.results)
    write_rows(out / "files.jsonl", seen.rows)
    write_findings(out / "findings.json", listed)
    subject = seen.subject
    record = ModelScan(
        status="complete",
        verdict=decided,
        title=subject.title if subject else plan.title,
        task=subject.task.kind if subject else "",
        level=plan.level,
        started=started,
        seconds=seconds,
        asked=tuple(seen.asked),
        chance=verdict.together(seen.results),
        suspected=verdict.suspected(plan, seen.results),
        reasons=reasons,
        provenance=source,
        examples=len(subject.trusted) + len(subject.held_out) if subject else 0,
        looked_through=len(seen.rows),
        bytes=sum(row.size for row in seen.rows),
        scanners=tuple(seen.results),
        files=digests(out),
    )
    write_record(out / TOP, record)
    render(out)
    return record


def _provenance(plan: ScanPlan, seen: Seen) -> Provenance:
    subject = seen.subject
    task = subject.task if subject else None
    return Provenance(
        anomech=version("anomech"),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(device_of(task)) if task else "cpu",
        threads=torch.get_num_threads(),
        seed=plan.seed,
        model=subject.model if subject else files.digest(seen.looked) if seen.looked else "",
        parameters=numbers(task) if task else 0,
        watched=0,
        reference=subject.reference if subject else "",
        inputs=combined(f"{row.path} {row.sha256}" for row in seen.rows) if seen.rows else "",
        options=provenance.deciding(deciding(plan)),
    )


def _unopened(why: str) -> Finding:
    return Finding(
        code="model-not-opened",
        severity="info",
        title="No trigger was searched, because the weights were not loaded",
        detail=why,
        action="Get a safe file of the weights first.",
    )

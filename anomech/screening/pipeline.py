"""The screening of a training set: read, train or open, screen by screen, write.

Each screen's numbers are on disk before the next begins, so an interrupted screening resumes
behind it, and behind the training if there was one.
"""

import platform
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import yaml

from anomech.audit.load.fingerprints import combined, device_of, numbers
from anomech.audit.load.provenance import now
from anomech.audit.plan import read_plan
from anomech.audit.settings import difference
from anomech.audit.write.noting import noted
from anomech.audit.write.place import is_empty, locked, refuse_links, sweep
from anomech.kernel.errors import ConfigError, RunError
from anomech.kernel.types import Progress
from anomech.records import (
    Provenance,
    Screening,
    ScreenResult,
    Status,
    changed,
    digests,
    read_record,
    write_findings,
    write_record,
    write_rows,
    write_text,
)
from anomech.report.screening.render import render
from anomech.roles.screen import Screened
from anomech.screening.opening import Subject, open_subject
from anomech.screening.plan import ScreeningPlan, as_yaml
from anomech.screening.screens import FOLDER, screened
from anomech.screening.writing import agreement, findings, rows, write_manifests

TOP = "screening.json"


def screen(plan: ScreeningPlan, out: Path, progress: Progress, *, workers: int = 0) -> Screening:
    """Screen a training set, or resume it, and write its folder.

    Args:
        plan: resolved, see `anomech.screening.plan.from_mapping`.
        out: the folder; one that holds an unfinished screening of the same plan is resumed.
        progress: told about every stage.
        workers: processes that decode image files ahead; they change no number.

    Raises:
        RunError: the folder belongs to another plan.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: finished screens stay.
    """
    with locked(out):
        if (finished := _opened(plan, out)) is not None:
            return finished
        started, clock = now(), time.monotonic()

        def note(status: Status, message: str) -> None:
            # A full disk may be why it ends; the first error is the one to show.
            with suppress(RunError):
                write_record(out / TOP, _noted(plan, started, status, message))

        with noted(note, "continues behind the last screen"):
            subject = open_subject(plan, out, progress, workers)
            results, found = list[ScreenResult](), dict[str, Screened]()
            for name in plan.screens:
                result, numbers_of = screened(plan, name, subject, out, progress)
                results.append(result)
                if numbers_of is not None:
                    found[name] = numbers_of
            return _written(plan, subject, results, found, out, started, time.monotonic() - clock)


def _opened(plan: ScreeningPlan, out: Path) -> Screening | None:
    """Make the folder ready; the finished screening, if it already holds this plan's."""
    refuse_links(out, (FOLDER, "previews"))
    if (out / "plan.yaml").exists():
        differing = difference(read_plan(out / "plan.yaml"), yaml.safe_load(as_yaml(plan)))
        kept = read_record(out / TOP, Screening) if (out / TOP).exists() else None
        if differing and not (kept is None or kept.status == "failed"):
            raise RunError(
                f"{out} holds another run (it differs in {', '.join(differing[:3])}); choose "
                "another --out."
            )
        if not differing and kept is not None and kept.status == "complete":
            if different := changed(out, kept):
                raise RunError(
                    f"{out} holds a finished screening, but {different[0]} changed since; do not "
                    "rely on it, and choose another --out."
                )
            return kept
    elif not is_empty(out):
        raise RunError(f"{out} is not empty and holds no screening; choose another --out.")
    sweep(out)
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


def _written(
    plan: ScreeningPlan,
    subject: Subject,
    results: list[ScreenResult],
    found: dict[str, Screened],
    out: Path,
    started: str,
    seconds: float,
) -> Screening:
    """Write what was found; the top record comes last."""
    lead = plan.deciding
    if lead not in found:
        why = next(each.why for each in results if each.name == lead)
        raise ConfigError(f"the screen {lead}, which decides, cannot run: {why}")
    listed = rows(found, lead, subject, out)
    write_rows(out / "rows.jsonl", listed)
    suspects = write_manifests(out, listed, lead)
    write_findings(out / "findings.json", findings(results, lead, subject))
    record = Screening(
        status="complete",
        title=subject.title,
        task=subject.observed.task.kind,
        lead=lead,
        started=started,
        seconds=seconds,
        trained=subject.trained,
        accuracy=agreement(subject),
        examples=len(listed),
        suspects=suspects,
        trusted=0 if subject.trusted is None else len(subject.trusted),
        provenance=_provenance(plan, subject),
        screens=tuple(results),
        files=digests(out),
    )
    write_record(out / TOP, record)
    render(out)
    return record


def _noted(plan: ScreeningPlan, started: str, status: Status, message: str) -> Screening:
    return Screening(
        status=status,
        title=Path(plan.data).name,
        task=plan.task.kind,
        lead=plan.deciding,
        started=started,
        seconds=0.0,
        message=message,
    )


def _provenance(plan: ScreeningPlan, subject: Subject) -> Provenance:
    task = subject.observed.task
    trusted = () if subject.trusted is None else subject.trusted.examples.digests()
    return Provenance(
        anomech=version("anomech"),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(device_of(task)),
        threads=torch.get_num_threads(),
        seed=plan.seed,
        model=subject.model,
        parameters=numbers(task),
        watched=sum(tensor.numel() for tensor in task.watched.values()),
        reference=combined(trusted) if trusted else "",
        inputs=subject.data,
    )

"""The screening of a training set: read, train or open, screen by screen, write.

Each screen's numbers are on disk before the next begins, so an interrupted screening resumes
behind it, and behind the training if there was one.
"""

import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from anomech.audit.load.fingerprints import combined, device_of, numbers
from anomech.audit.load.provenance import check_same, now
from anomech.audit.write import keeping
from anomech.audit.write.place import locked
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Progress
from anomech.records import (
    Provenance,
    Screening,
    ScreenResult,
    digests,
    write_findings,
    write_record,
    write_rows,
)
from anomech.report.screening.render import render
from anomech.roles.screen import Screened
from anomech.screening.opening import Subject, hash_of, open_subject
from anomech.screening.plan import ScreeningPlan, as_yaml
from anomech.screening.screens import FOLDER, screened
from anomech.screening.writing import agreement, findings, rows, write_manifests

TOP = "screening.json"

KIND = keeping.Kind(
    name="screening",
    top=TOP,
    record=Screening,
    render=render,
    inside=(FOLDER, "previews"),
    resumes="continues behind the last screen",
)


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
        if (finished := keeping.opened(KIND, out, as_yaml(plan))) is not None:
            check_same(out, "screening", _now(plan, out, finished, progress), finished.provenance)
            return finished
        started, clock = now(), time.monotonic()
        with keeping.noted(KIND, out, _begun(plan, started)):
            subject = open_subject(plan, out, progress, workers)
            results, found = list[ScreenResult](), dict[str, Screened]()
            for name in plan.screens:
                result, numbers_of = screened(plan, name, subject, out, progress)
                results.append(result)
                if numbers_of is not None:
                    found[name] = numbers_of
            return _written(plan, subject, results, found, out, started, time.monotonic() - clock)


def _now(plan: ScreeningPlan, out: Path, finished: Screening, progress: Progress) -> Provenance:
    """Where numbers of this plan would come from; a network that was trained here goes by its data.

    Raises:
        DataError: the examples cannot be read.
        ModelError: the model cannot be used.
    """
    if finished.provenance is None or plan.opens_model:
        return _provenance(plan, open_subject(plan, out, progress))
    return finished.provenance.model_copy(update={"inputs": hash_of(plan, progress)})


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


def _begun(plan: ScreeningPlan, started: str) -> Screening:
    return Screening(
        status="running",
        title=Path(plan.data).name,
        task=plan.task.kind,
        lead=plan.deciding,
        started=started,
        seconds=0.0,
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

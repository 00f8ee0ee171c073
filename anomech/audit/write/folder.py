"""The run folder: whose it is, and how a run that ends early is noted."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anomech.audit.load import provenance
from anomech.audit.plan import Plan, as_yaml
from anomech.audit.probing.verdicts import Unsound
from anomech.audit.write import findings, keeping
from anomech.kernel.errors import AnomechError, UnsafeCheckpoint
from anomech.records import (
    Finding,
    Run,
    read_findings,
)
from anomech.report.run.render import render

WORK = "work"
"""Folder of finished chunks inside a run folder; it goes when the run is complete."""

PROFILE = f"{WORK}/profile.safetensors"
"""What was fitted, so that a resumed run does not fit again."""

INSIDE = (WORK, "scores", "previews")
"""Folders that a run makes."""


def open_folder(plan: Plan, out: Path) -> Run | None:
    """See `keeping.opened`; a run that failed before it found anything gives way as well."""
    finished = keeping.opened(KIND, out, as_yaml(plan))
    if finished is not None:  # a kill at its very end may have left it
        shutil.rmtree(out / WORK, ignore_errors=True)
    return finished


def _fruitless(out: Path, run: Run) -> bool:
    """Whether a run ended with an error, and the error is all that it left."""
    if (out / WORK).exists() or (out / "verdicts.jsonl").exists():
        return False
    if run.status == "inconclusive":  # its findings say what to mend in the command
        return True
    file = out / "findings.json"
    return run.status == "failed" and not (file.exists() and read_findings(file))


def _found(error: AnomechError) -> Sequence[Finding]:
    """What an error finds by itself."""
    if isinstance(error, Unsound):
        return [error.finding]
    return [findings.unsafe(error.globals)] if isinstance(error, UnsafeCheckpoint) else []


KIND = keeping.Kind(
    name="run",
    top="run.json",
    record=Run,
    render=render,
    inside=INSIDE,
    fruitless=_fruitless,
    findings=_found,
)


@contextmanager
def noted(plan: Plan, out: Path) -> Iterator[None]:
    """See `keeping.noted`."""
    begun = Run(
        status="running",
        title=plan.title,
        task=plan.task.kind,
        budget=plan.budget,
        started=provenance.now(),
        seconds=0.0,
    )
    with keeping.noted(KIND, out, begun):
        yield

"""The run folder: whose it is, and how a run that ends early is noted."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from anomech.audit.load import provenance
from anomech.audit.plan import Plan, as_yaml, read_plan
from anomech.audit.probing.verdicts import Unsound
from anomech.audit.settings import difference
from anomech.audit.write import findings
from anomech.audit.write.place import is_empty, refuse_links, sweep
from anomech.kernel.errors import AnomechError, Inconclusive, RunError, UnsafeCheckpoint
from anomech.records import (
    Finding,
    Run,
    Status,
    changed,
    read_findings,
    read_record,
    write_findings,
    write_record,
    write_text,
)
from anomech.report.run.render import FILE, render

WORK = "work"
"""Folder of finished chunks inside a run folder; it goes when the run is complete."""

PROFILE = f"{WORK}/profile.safetensors"
"""What was fitted, so that a resumed run does not fit again."""

INSIDE = (WORK, "scores", "previews")
"""Folders that a run makes."""


def open_folder(plan: Plan, out: Path) -> Run | None:
    """Make the run folder ready; the finished run, if it already holds this plan's.

    A run that failed before it found anything gives way to another plan, so that a mended command
    can use the same folder.

    Raises:
        RunError: it holds another plan's run, or something that is no run.
    """
    refuse_links(out, INSIDE)
    if (out / "plan.yaml").exists():
        differing = difference(read_plan(out / "plan.yaml"), yaml.safe_load(as_yaml(plan)))
        run = read_record(out / "run.json", Run) if (out / "run.json").exists() else None
        if differing and not (run is None or _fruitless(out, run)):
            raise RunError(
                f"{out} holds a run of another plan (it differs in {', '.join(differing[:3])}); "
                "choose another --out."
            )
        if not differing and run is not None and run.status == "complete":
            return _finished(out, run)
    elif out.exists() and not (out.is_dir() and is_empty(out)):
        raise RunError(f"{out} is not an empty folder and holds no run; choose another --out.")
    sweep(out)
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


def _finished(out: Path, run: Run) -> Run:
    """A complete run, once it is as it was left; what a kill at its very end left is mended.

    Raises:
        RunError: its files were changed.
    """
    if different := changed(out, run):
        raise RunError(
            f"{out} holds a finished run of this plan, but {different[0]} changed since the run; "
            "do not rely on it, and choose another --out."
        )
    shutil.rmtree(out / WORK, ignore_errors=True)
    sweep(out)
    if not (out / FILE).exists():
        render(out)
    return run


def _fruitless(out: Path, run: Run) -> bool:
    """Whether a run ended with an error, and the error is all that it left."""
    if (out / WORK).exists() or (out / "verdicts.jsonl").exists():
        return False
    if run.status == "inconclusive":  # its findings say what to mend in the command
        return True
    file = out / "findings.json"
    return run.status == "failed" and not (file.exists() and read_findings(file))


@contextmanager
def noted(plan: Plan, out: Path) -> Iterator[None]:
    """Note in the folder that a run goes on, and how it ends if it ends early.

    The error itself goes on to the caller.
    """
    started = provenance.now()
    _note(plan, out, started, "running", "")
    try:
        yield
    except KeyboardInterrupt:
        _note(plan, out, started, "interrupted", "Stopped by hand; the same command continues.")
        raise
    except Inconclusive as error:
        seen = [error.finding] if isinstance(error, Unsound) else []
        _note(plan, out, started, "inconclusive", str(error), seen)
        raise
    except AnomechError as error:
        listed = [findings.unsafe(error.globals)] if isinstance(error, UnsafeCheckpoint) else []
        _note(plan, out, started, "failed", str(error), listed)
        raise
    except BaseException as error:  # also what ends a program: the folder must not say "running"
        _note(plan, out, started, "failed", f"It stopped with {type(error).__name__}.")
        raise


def _note(
    plan: Plan,
    out: Path,
    started: str,
    status: Status,
    message: str,
    listed: Sequence[Finding] = (),
) -> None:
    run = Run(
        status=status,
        title=plan.title,
        task=plan.task.kind,
        budget=plan.budget,
        started=started,
        seconds=0.0,
        message=message,
    )
    if not message:
        write_record(out / "run.json", run)
        return
    # A full disk may be why the run ends; the first error is the one to show.
    with suppress(RunError):
        write_record(out / "run.json", run)
        write_findings(out / "findings.json", listed)
        render(out)

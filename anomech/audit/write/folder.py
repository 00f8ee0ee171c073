"""The run folder: whose it is, and how a run that ends early is noted.

A folder may have been made ready by someone else: links in it are refused, and files are written
under names that nobody can know before.
"""

import os
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
from anomech.storage.files import PARTIAL

WORK = "work"
"""Folder of finished chunks inside a run folder; it goes when the run is complete."""

PROFILE = f"{WORK}/profile.safetensors"
"""What was fitted, so that a resumed run does not fit again."""

ERROR = "error.txt"
"""Details of an error that nobody foresaw; the next run in the folder removes them."""

INSIDE = (WORK, "scores", "previews")
"""Folders that a run makes."""


def open_folder(plan: Plan, out: Path) -> Run | None:
    """Make the run folder ready; the finished run, if it already holds this plan's.

    A run that failed before it found anything gives way to another plan, so that a mended command
    can use the same folder.

    Raises:
        RunError: it holds another plan's run, or something that is no run.
    """
    _refuse_links(out)
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
    elif out.exists() and not (out.is_dir() and _empty(out)):
        raise RunError(f"{out} is not an empty folder and holds no run; choose another --out.")
    _sweep(out)
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a folder for this process; it is made if it is not there.

    The lock is on the folder itself and goes with the process, however that ends. Where the system
    or the file system has no such locks (Windows, some network drives), nothing is kept.

    Raises:
        RunError: another process works in it, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} is no folder ({error.strerror}); choose another --out.") from None
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(out, os.O_RDONLY)
    try:
        with suppress(NotImplementedError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunError(
            f"another process works in {out} at this moment; wait until it ends, or choose another "
            "--out."
        ) from None
    except OSError:
        pass  # this file system has no locks
    try:
        yield
    finally:
        os.close(descriptor)


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
    _sweep(out)
    if not (out / FILE).exists():
        render(out)
    return run


def _refuse_links(out: Path) -> None:
    """Refuse a folder with links in it, which no run makes and through which it would write."""
    for folder in (out, *(out / name for name in INSIDE)):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise RunError(
                        f"{folder.name}/{entry.name} is a link, which no run makes, so nothing is "
                        "written there; choose another --out."
                    )


def _sweep(out: Path) -> None:
    """Remove what a killed process was about to write, and the details of an error before."""
    for path in out.glob(".*.partial"):
        if _partial(path):
            path.unlink(missing_ok=True)
    if (out / ERROR).is_file():
        (out / ERROR).unlink()


def _empty(out: Path) -> bool:
    """Whether there is nothing, not even hidden, apart from what a killed process left."""
    return all(_partial(path) for path in out.iterdir())


def _partial(path: Path) -> bool:
    return PARTIAL.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


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

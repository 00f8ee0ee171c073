"""The folder of a repair: whose it is, and how a repair that ends early is noted."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from anomech.audit.load.provenance import now
from anomech.audit.plan import read_plan
from anomech.audit.settings import difference
from anomech.audit.write.place import is_empty, refuse_links, sweep
from anomech.kernel.errors import AnomechError, RunError
from anomech.records import (
    RepairRun,
    Status,
    changed,
    read_record,
    write_record,
    write_text,
)
from anomech.repair.plan import RepairPlan, as_yaml
from anomech.report.repair.render import FILE, render

TOP = "repair.json"
INSIDE = ("methods", "checks", "previews")
"""Folders that a repair makes."""


def open_folder(plan: RepairPlan, out: Path) -> RepairRun | None:
    """Make the folder ready; the finished repair, if it already holds this plan's.

    Raises:
        RunError: it holds another plan's repair, or something that is none.
    """
    refuse_links(out, INSIDE)
    if (out / "plan.yaml").exists():
        differing = difference(read_plan(out / "plan.yaml"), yaml.safe_load(as_yaml(plan)))
        run = read_record(out / TOP, RepairRun) if (out / TOP).exists() else None
        if differing and not (run is None or run.status == "failed"):
            raise RunError(
                f"{out} holds another run (it differs in {', '.join(differing[:3])}); choose "
                "another --out."
            )
        if not differing and run is not None and run.status == "complete":
            return _finished(out, run)
    elif out.exists() and not (out.is_dir() and is_empty(out)):
        raise RunError(f"{out} is not an empty folder and holds no repair; choose another --out.")
    sweep(out)
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


def _finished(out: Path, run: RepairRun) -> RepairRun:
    if different := changed(out, run):
        raise RunError(
            f"{out} holds a finished repair of this plan, but {different[0]} changed since; do not "
            "rely on it, and choose another --out."
        )
    sweep(out)
    if not (out / FILE).exists():
        render(out)
    return run


@contextmanager
def noted(plan: RepairPlan, out: Path) -> Iterator[None]:
    """Note in the folder that a repair goes on, and how it ends if it ends early.

    The error itself goes on to the caller.
    """
    started = now()
    _note(plan, out, started, "running", "")
    try:
        yield
    except KeyboardInterrupt:
        message = "Stopped by hand; the same command continues behind the last method or check."
        _note(plan, out, started, "interrupted", message)
        raise
    except AnomechError as error:
        _note(plan, out, started, "failed", str(error))
        raise
    except BaseException as error:  # also what ends a program: the folder must not say "running"
        _note(plan, out, started, "failed", f"It stopped with {type(error).__name__}.")
        raise


def _note(plan: RepairPlan, out: Path, started: str, status: Status, message: str) -> None:
    run = RepairRun(
        status=status,
        title=plan.title,
        task=plan.task.kind,
        started=started,
        seconds=0.0,
        message=message,
    )
    if not message:
        write_record(out / TOP, run)
        return
    # A full disk may be why the repair ends; the first error is the one to show.
    with suppress(RunError):
        write_record(out / TOP, run)
        render(out)

"""The run folder: whose it is, and how a run that ends early is noted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from anomech.audit import findings, provenance
from anomech.audit.plan import Plan, as_yaml, difference, read_plan
from anomech.errors import AnomechError, Inconclusive, RunError, UnsafeCheckpoint
from anomech.records import (
    Finding,
    Run,
    Status,
    read_record,
    write_findings,
    write_record,
    write_text,
)
from anomech.report.render import render


def open_folder(plan: Plan, out: Path) -> Run | None:
    """Make the run folder ready; the finished run, if it already holds this plan's.

    Raises:
        RunError: it holds another plan's run, or something that is no run.
    """
    if (out / "plan.yaml").exists():
        changed = difference(read_plan(out / "plan.yaml"), yaml.safe_load(as_yaml(plan)))
        if changed:
            raise RunError(
                f"{out} holds a run of another plan (it differs in {', '.join(changed[:3])}); "
                "choose another --out."
            )
        if (out / "run.json").exists():
            run = read_record(out / "run.json", Run)
            if run.status == "complete":
                return run
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} is not empty and holds no run; choose another --out.")
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


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
        _note(plan, out, started, "inconclusive", str(error))
        raise
    except AnomechError as error:
        listed = [findings.unsafe(error.globals)] if isinstance(error, UnsafeCheckpoint) else []
        _note(plan, out, started, "failed", str(error), listed)
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
        title=plan.model.factory.rpartition(":")[2] or "model",
        task="image classifier",
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

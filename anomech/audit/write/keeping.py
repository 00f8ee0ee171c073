"""Whose a run's folder is, and how work in it that ends early is noted, whatever ends it.

Audits, scans, screenings, repairs and reviews keep their folders alike; a `Kind` says how they
differ.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import yaml

from anomech.audit.plan import read_plan
from anomech.audit.settings import difference
from anomech.audit.write.place import is_empty, is_partial, refuse_links, sweep
from anomech.kernel.errors import AnomechError, Inconclusive, RunError
from anomech.records import (
    Finding,
    ModelScan,
    RepairRun,
    Review,
    Run,
    Screening,
    Status,
    changed,
    read_record,
    write_findings,
    write_record,
    write_text,
)

PLAN = "plan.yaml"
FINDINGS = "findings.json"
PAGE = "report.html"


R = TypeVar("R", Run, ModelScan, RepairRun, Screening, Review)
"""The top record of a run."""


def failed(out: Path, record: Run | ModelScan | RepairRun | Screening | Review) -> bool:
    """Whether work ended with an error."""
    return record.status == "failed"


def nothing(error: AnomechError) -> Sequence[Finding]:
    """No finding, whatever the error."""
    return ()


@dataclass(frozen=True)
class Kind(Generic[R]):
    """A kind of run, and what is its own about the folder.

    Attributes:
        name: such as `scan`, as messages say it.
        top: file of the top record.
        record: its type.
        render: writes the page from what else the folder holds.
        inside: folders that such a run makes.
        resumes: what the same command does after an interruption.
        fruitless: whether what the folder holds gives way to another plan, so that a mended
            command can use the same folder.
        findings: what an error finds, by itself.
    """

    name: str
    top: str
    record: type[R]
    render: Callable[[Path], object]
    inside: Sequence[str] = ()
    resumes: str = "continues"
    fruitless: Callable[[Path, R], bool] = failed
    findings: Callable[[AnomechError], Sequence[Finding]] = nothing


def opened(kind: Kind[R], out: Path, plan: str) -> R | None:
    """Make a folder ready; the finished run, if it already holds this plan's.

    Args:
        kind: of the run.
        out: the folder, which need not be there yet.
        plan: the resolved plan as YAML.

    Raises:
        RunError: it holds another plan's run, one that was changed, or something that is none.
    """
    refuse_links(out, kind.inside)
    if (out / PLAN).exists():
        differing = difference(read_plan(out / PLAN), yaml.safe_load(plan))
        kept = read_record(out / kind.top, kind.record) if (out / kind.top).exists() else None
        if differing and kept is None and not _begun(out):
            raise _foreign(kind, out)
        if differing and not (kept is None or kind.fruitless(out, kept)):
            raise RunError(
                f"{out} holds a {kind.name} of another plan (it differs in "
                f"{', '.join(differing[:3])}); choose another --out."
            )
        if not differing and kept is not None and kept.status == "complete":
            return _finished(kind, out, kept)
    elif out.exists() and not (out.is_dir() and is_empty(out)):
        raise _foreign(kind, out)
    sweep(out)
    write_text(out / PLAN, plan)
    return None


def _begun(out: Path) -> bool:
    """Whether a plan is all that a folder holds: the process ended before it noted a run."""
    return all(path.name == PLAN or is_partial(path) for path in out.iterdir())


def _foreign(kind: Kind[R], out: Path) -> RunError:
    """The folder holds something else, such as a run of another kind."""
    return RunError(f"{out} is not an empty folder and holds no {kind.name}; choose another --out.")


def _finished(kind: Kind[R], out: Path, kept: R) -> R:
    """A complete run, once it is as it was left; what a kill at its very end left is mended."""
    if different := changed(out, kept):
        raise RunError(
            f"{out} holds a finished {kind.name} of this plan, but {different[0]} changed since "
            f"the {kind.name}; do not rely on it, and choose another --out."
        )
    sweep(out)
    if not (out / PAGE).exists():
        kind.render(out)
    return kept


@contextmanager
def noted(kind: Kind[R], out: Path, begun: R) -> Iterator[None]:
    """Note that work goes on, and how it ends if it ends early; the error goes on to the caller.

    Args:
        kind: of the run.
        out: its folder.
        begun: the top record while work goes on.
    """

    def end(status: Status, message: str, found: Sequence[Finding] = ()) -> None:
        # A full disk may be why the work ends; the first error is the one to show.
        with suppress(RunError):
            write_record(out / kind.top, begun.model_copy(update=_ended(status, message)))
            write_findings(out / FINDINGS, found)
            kind.render(out)

    write_record(out / kind.top, begun)
    try:
        yield
    except KeyboardInterrupt:
        end("interrupted", f"Stopped by hand; the same command {kind.resumes}.")
        raise
    except Inconclusive as error:
        end("inconclusive", str(error), kind.findings(error))
        raise
    except AnomechError as error:
        end("failed", str(error), kind.findings(error))
        raise
    except BaseException as error:  # also what ends a program: the folder must not say "running"
        end("failed", f"It stopped with {type(error).__name__}.")
        raise


def _ended(status: Status, message: str) -> dict[str, object]:
    return {"status": status, "message": message}

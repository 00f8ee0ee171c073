"""The folder of a scan: whose it is, and how a scan that ends early is noted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from anomech.audit.load.provenance import now
from anomech.audit.plan import read_plan
from anomech.audit.settings import difference
from anomech.audit.write.noting import noted as recorded
from anomech.audit.write.place import is_empty, refuse_links, sweep
from anomech.kernel.errors import RunError
from anomech.records import (
    Finding,
    ModelScan,
    Status,
    changed,
    read_record,
    write_findings,
    write_record,
    write_text,
)
from anomech.report.scan.render import FILE, render
from anomech.scan.plan import ScanPlan, as_yaml

TOP = "scan.json"
INSIDE = ("scanners", "previews")
"""Folders that a scan makes."""


def open_folder(plan: ScanPlan, out: Path) -> ModelScan | None:
    """Make the folder ready; the finished scan, if it already holds this plan's.

    Raises:
        RunError: it holds another plan's scan, or something that is none.
    """
    refuse_links(out, INSIDE)
    if (out / "plan.yaml").exists():
        differing = difference(read_plan(out / "plan.yaml"), yaml.safe_load(as_yaml(plan)))
        scan = read_record(out / TOP, ModelScan) if (out / TOP).exists() else None
        if differing and not (scan is None or scan.status == "failed"):
            raise RunError(
                f"{out} holds another run (it differs in {', '.join(differing[:3])}); choose "
                "another --out."
            )
        if not differing and scan is not None and scan.status == "complete":
            return _finished(out, scan)
    elif out.exists() and not (out.is_dir() and is_empty(out)):
        raise RunError(f"{out} is not an empty folder and holds no scan; choose another --out.")
    sweep(out)
    write_text(out / "plan.yaml", as_yaml(plan))
    return None


def _finished(out: Path, scan: ModelScan) -> ModelScan:
    if different := changed(out, scan):
        raise RunError(
            f"{out} holds a finished scan of this plan, but {different[0]} changed since; do not "
            "rely on it, and choose another --out."
        )
    sweep(out)
    if not (out / FILE).exists():
        render(out)
    return scan


@contextmanager
def noted(plan: ScanPlan, out: Path) -> Iterator[None]:
    """Note in the folder that a scan goes on, and how it ends if it ends early.

    The error itself goes on to the caller.
    """
    started = now()

    def note(status: Status, message: str) -> None:
        _note(plan, out, started, status, message)

    with recorded(note, "continues behind the last scanner"):
        yield


def _note(
    plan: ScanPlan,
    out: Path,
    started: str,
    status: Status,
    message: str,
    listed: Sequence[Finding] = (),
) -> None:
    scan = ModelScan(
        status=status,
        title=plan.title,
        task=plan.task.kind,
        level=plan.level,
        started=started,
        seconds=0.0,
        message=message,
    )
    if not message:
        write_record(out / TOP, scan)
        return
    # A full disk may be why the scan ends; the first error is the one to show.
    with suppress(RunError):
        write_record(out / TOP, scan)
        write_findings(out / "findings.json", listed)
        render(out)

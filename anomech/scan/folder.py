"""The folder of a scan."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomech.audit.load.provenance import now
from anomech.audit.write import keeping
from anomech.records import ModelScan
from anomech.report.scan.render import render
from anomech.scan.plan import ScanPlan, as_yaml

TOP = "scan.json"

KIND = keeping.Kind(
    name="scan",
    top=TOP,
    record=ModelScan,
    render=render,
    inside=("scanners", "previews"),
    resumes="continues behind the last scanner",
)


def open_folder(plan: ScanPlan, out: Path) -> ModelScan | None:
    """See `keeping.opened`."""
    return keeping.opened(KIND, out, as_yaml(plan))


@contextmanager
def noted(plan: ScanPlan, out: Path) -> Iterator[None]:
    """See `keeping.noted`."""
    begun = ModelScan(
        status="running",
        title=plan.title,
        task=plan.task.kind,
        level=plan.level,
        started=now(),
        seconds=0.0,
    )
    with keeping.noted(KIND, out, begun):
        yield

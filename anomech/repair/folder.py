"""The folder of a repair."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomech.audit.load.provenance import now
from anomech.audit.write import keeping
from anomech.records import RepairRun
from anomech.repair.plan import RepairPlan, as_yaml
from anomech.report.repair.render import render

TOP = "repair.json"

KIND = keeping.Kind(
    name="repair",
    top=TOP,
    record=RepairRun,
    render=render,
    inside=("methods", "checks", "previews"),
    resumes="continues behind the last method or check",
)


def open_folder(plan: RepairPlan, out: Path) -> RepairRun | None:
    """See `keeping.opened`."""
    return keeping.opened(KIND, out, as_yaml(plan))


@contextmanager
def noted(plan: RepairPlan, out: Path) -> Iterator[None]:
    """See `keeping.noted`."""
    begun = RepairRun(
        status="running",
        title=plan.title,
        task=plan.task.kind,
        started=now(),
        seconds=0.0,
    )
    with keeping.noted(KIND, out, begun):
        yield

"""The report of a repair: one HTML page, made from the files of its folder alone.

As the report of an audit it asks for nothing outside itself, runs no script and takes every word
for hostile. The same folder gives the same bytes.
"""

from pathlib import Path

from anomech import records
from anomech.report.page import write_page
from anomech.report.repair.sections import build

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


def render(path: Path) -> Path:
    """Write `report.html` into the folder of a repair; an unfinished one gives a page that says so.

    Args:
        path: a folder written by `anomech repair`.

    Raises:
        RunError: it is no such folder, its record is damaged, or the page cannot be written.
    """
    run = records.read_top(Path(path), "repair.json", records.RepairRun, "repair")
    values = {"page": build(run, records.changed(Path(path), run)), "run": run}
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["repair.css"])

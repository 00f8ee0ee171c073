"""The report of a screening: one HTML page, made from the files of its folder alone.

As the other reports it asks for nothing outside itself, runs no script and takes every word for
hostile. The same folder gives the same bytes.
"""

from pathlib import Path

from anomech.report.page import write_page
from anomech.report.screening import sections

FILE = "report.html"

TEMPLATES = Path(__file__).parent / "templates"


def render(path: Path) -> Path:
    """Write `report.html` into the folder of a screening.

    Args:
        path: a folder written by `anomech screen`.

    Raises:
        RunError: it is no such folder, one of its files is damaged, or the page cannot be written.
    """
    page = sections.build(Path(path))
    values = {"page": page, "run": page.run}
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["screening.css"])

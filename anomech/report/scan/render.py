"""The report of a scan: one HTML page, made from the files of its folder alone.

As the report of an audit it asks for nothing outside itself, runs no script and takes every word
for hostile. The same folder gives the same bytes.
"""

from pathlib import Path

from anomech.report.page import write_page
from anomech.report.scan import folder, sections

FILE = "report.html"

TEMPLATES = Path(__file__).parent / "templates"


def render(path: Path) -> Path:
    """Write `report.html` into the folder of a scan; an unfinished one gives a page that says so.

    Args:
        path: a folder written by `anomech scan`.

    Raises:
        RunError: it is no such folder, one of its files is damaged, or the page cannot be written.
    """
    page = sections.build(folder.read(Path(path)))
    values = {"page": page, "folder": page.folder, "scan": page.folder.scan}
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["scan.css"])

"""The report: one HTML page, made from the files of a run folder alone.

The page asks for nothing outside itself, runs no script, and treats every word of the run as
hostile: text is escaped, control characters are dropped, pictures are checked. The same folder
gives the same bytes.
"""

from pathlib import Path

from anomech.report.page import write_page
from anomech.report.run import folder, sections

FILE = "report.html"

TEMPLATES = Path(__file__).parent / "templates"


def render(run: Path) -> Path:
    """Write `report.html` into a run folder; an unfinished run gives a page that says so.

    Args:
        run: a folder written by `anomech audit`.

    Returns:
        The path of the page.

    Raises:
        RunError: it is no run folder, one of its files is damaged, or the page cannot be written.
    """
    page = sections.build(folder.read(Path(run)))
    values = {"page": page, "folder": page.folder, "run": page.folder.run}
    return write_page(Path(run) / FILE, TEMPLATES, values)

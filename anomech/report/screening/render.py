"""The report of a screening: one HTML page, made from the files of its folder alone.

As the other reports it asks for nothing outside itself, runs no script and takes every word for
hostile. The same folder gives the same bytes.
"""

from pathlib import Path

from markupsafe import Markup

from anomech import records
from anomech.report.page import STYLE, environment, policy
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
    style = STYLE.read_text(encoding="utf-8") + (TEMPLATES / "screening.css").read_text("utf-8")
    template = environment(TEMPLATES).get_template("page.html.jinja")
    html = template.render(page=page, run=page.run, style=Markup(style), policy=policy(style))
    place = Path(path) / FILE
    records.write_text(place, html)
    return place

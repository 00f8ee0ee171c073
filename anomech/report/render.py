"""The report: one HTML page, made from the files of a run folder alone.

The page asks for nothing outside itself, runs no script, and treats every word of the run as
hostile: text is escaped, control characters are dropped, pictures are checked. The same folder
gives the same bytes.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from anomech import records
from anomech.report import load, sections, words

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
    page = sections.build(load.read(Path(run)))
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    template = environment().get_template("page.html.jinja")
    html = template.render(
        page=page,
        folder=page.folder,
        run=page.folder.run,
        style=Markup(style),
        policy=policy(style),
    )
    path = Path(run) / FILE
    records.write_text(path, html)
    return path


@cache
def environment() -> jinja2.Environment:
    """Templates that escape everything and fail on a name that is not there.

    Made once a process: to compile them takes longer than to fill them.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        count=words.count, number=words.number, percent=words.percent, seconds=words.seconds
    )
    made.filters.update(p_value=words.p_value, moment=words.moment, tail=words.tail)
    made.filters["clip"] = lambda text, length: words.clip(words.clean(text), length)
    made.globals["status_words"] = words.STATUS
    return made


def _finalize(value: object) -> object:
    """Drop control characters from text on its way into the page; markup was made by us."""
    return words.clean(value) if type(value) is str else value


def policy(style: str) -> str:
    """What a page may load: its own style sheet and the pictures inside it, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )

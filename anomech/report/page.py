"""What the pages share: templates that escape everything, and what a page may load."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from anomech.records import write_text
from anomech.report import words

STYLE = Path(__file__).parent / "templates" / "style.css"


def write_page(
    path: Path,
    templates: Path,
    values: Mapping[str, object],
    *,
    template: str = "page.html.jinja",
    styles: Sequence[str] = (),
) -> Path:
    """Fill a template and write the page, whole or not at all.

    Args:
        path: of the page.
        templates: folder of the template and of its own style sheets.
        values: what the template names, but for `style` and `policy`.
        template: its file.
        styles: style sheets in that folder, which follow the one that all pages have.

    Returns:
        The path of the page.

    Raises:
        RunError: it cannot be written.
    """
    sheets = (STYLE, *(templates / name for name in styles))
    style = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    page = environment(templates).get_template(template)
    write_text(path, page.render({**values, "style": Markup(style), "policy": policy(style)}))
    return path


@cache
def environment(templates: Path) -> jinja2.Environment:
    """The templates of a folder; they escape everything and fail on a name that is not there.

    Made once a process: to compile them takes longer than to fill them.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
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

"""`anomech report`: render the page of a run folder again."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, say_whole, warn
from anomech.cli.options import Forms
from anomech.cli.summary import say_evidence

CHANGED = 1
"""Exit code where files of a run are not as it left them."""


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that any command wrote a page into.")
    ],
    forms: Forms = None,
) -> None:
    """Render the report of a run folder again and say where it is.

    Exit codes: 0 the page is written; 1 it is, and says that files were changed since the run;
    2 there is no such run.
    """
    from anomech.report.pages import rendered

    page, different = rendered(run)
    say_whole(plain(page))
    if forms:
        say_evidence(run, forms)
    if different:
        warn(f"{plain(different[0])} changed since the run; do not rely on it.", label="warning")
        raise typer.Exit(CHANGED)

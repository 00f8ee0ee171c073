"""`anomech report`: render the page of a run folder again."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, say_whole


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that an audit wrote.")],
) -> None:
    """Render the report of a run folder again and say where it is."""
    from anomech.report.run.render import render

    say_whole(plain(render(run)))

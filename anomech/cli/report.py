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
        Path, typer.Argument(metavar="RUN", help="Folder that an audit, a scan or a repair wrote.")
    ],
    forms: Forms = None,
) -> None:
    """Render the report of a run folder again and say where it is.

    Exit codes: 0 the page is written; 1 it is, and says that files were changed since the run;
    2 there is no such run.
    """
    from anomech.records import ModelScan, RepairRun, Run, changed, read_record
    from anomech.report.repair.render import render as render_repair
    from anomech.report.review.render import render as render_review
    from anomech.report.run.render import render
    from anomech.report.scan.render import render as render_scan

    top: Run | ModelScan | RepairRun
    if (run / "scan.json").is_file():
        page, top = render_scan(run), read_record(run / "scan.json", ModelScan)
    elif (run / "review.json").is_file():
        say_whole(plain(render_review(run)))
        return
    elif (run / "repair.json").is_file():
        page, top = render_repair(run), read_record(run / "repair.json", RepairRun)
    else:
        page, top = render(run), read_record(run / "run.json", Run)
    say_whole(plain(page))
    say_evidence(run, forms or [])
    if different := changed(run, top):
        warn(f"{plain(different[0])} changed since the run; do not rely on it.", label="warning")
        raise typer.Exit(CHANGED)

"""`anomech baseline`: accept findings of a run, with a reason, in a file for the next ones."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, say, say_whole
from anomech.kernel.errors import ConfigError


def baseline(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that an audit or a scan wrote.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")],
    finding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="Findings to accept; may be given again.",
            show_default="all of medium and high severity",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why they are accepted; it can also be written into the file.")
    ] = "",
    expires: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Last day on which it counts.", show_default="never"
        ),
    ] = None,
) -> None:
    """Write the findings of a run into a file that later runs take with --baseline.

    Accepted findings fail nothing and stay listed. They are bound to the model, the options, the
    trusted examples and what was found: where one of them changes, nothing is accepted.
    """
    from anomech.evidence.baseline import written
    from anomech.evidence.subject import read
    from anomech.records import write_text

    if out.exists():
        raise ConfigError(f"{out} is there already; move it away, or name another file with -o.")
    text = written(read(run), reason.strip(), expires.date() if expires else None, finding or ())
    write_text(out, text)
    say_whole(f"Baseline: {plain(out)}")
    if not reason.strip():
        say("Write a reason into each entry; one without is refused.")

"""`anomech explain`: where the mechanism of flagged inputs sits, and what it looks at."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, progress, say, warn
from anomech.cli.engines import HOW
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHERE
from anomech.cli.summary import say_report

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a finished audit.", show_default=False)
]
What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID... | mechanism N | flags]",
        help="Inputs by their ids, a mechanism by its number, or all flags.",
        show_default="the largest mechanism, or else all flags",
    ),
]
Explainers = Annotated[
    list[str] | None,
    typer.Option(
        "--explainer",
        metavar="NAME",
        help="Explainer to run; may be given again. `anomech describe explainer` lists them.",
        show_default="those that the model can serve",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the explanation.",
        show_default="RUN-explained",
        rich_help_panel=WHERE,
    ),
]


def explain(
    ctx: typer.Context,
    run: RunFolder,
    what: What = None,
    explainer: Explainers = None,
    out: Folder = None,
) -> None:
    """Show where the mechanism of flagged inputs sits, and what it looks at.

    Flagged inputs are compared with the run's trusted examples of the same answers; the model and
    the data must be where the run found them. Exit codes: 0 done, 2 bad input, 4 an unexpected
    error, 130 interrupted.
    """
    from anomech.explaining.pipeline import explain as run_explanation

    folder = out or run.parent / f"{run.name}-explained"
    keep_details_in(ctx, folder)
    with progress() as shown:
        found = run_explanation(run, what or [], explainer or [], folder, shown)
    say(
        f"{plain(found.title)}: {found.about}, {found.inputs} input"
        f"{'' if found.inputs == 1 else 's'}.",
        style="bold",
    )
    for each in found.explainers:
        if each.why:
            warn(f"{each.name} was left out: {each.why}")
        elif each.concentration is not None:
            place, part = max(each.places.items(), key=lambda item: item[1])
            say(
                f"{each.name}: {each.concentration:.0%} in the top hundredth of units, most in "
                f"{plain(place)} ({part:.0%})."
            )
    say_report(folder)

"""`anomech screen`: which examples of a training set are poisoned."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say
from anomech.cli.engines import HOW
from anomech.cli.grouped import grouped
from anomech.cli.groups import Network, Reading, Running
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHAT, WHERE, FailOn, Reference, Strictness
from anomech.cli.planning import asked, chosen, own_folder
from anomech.cli.summary import say_finding, say_report

if TYPE_CHECKING:
    from anomech.screening.plan import ScreeningPlan

FOUND = 1
SHOWN = 12
"""Findings that are listed; the report has them all."""


Data = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Training set: a folder with one sub-folder per class, or an .npz with labels.",
        rich_help_panel=WHAT,
    ),
]
Screens = Annotated[
    list[str] | None,
    typer.Option(
        "--screen",
        metavar="NAME",
        help="Screen to run; may be given again, and the first decides. `anomech describe screen` "
        "lists them.",
        show_default="those that fit what is given",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the screening.",
        show_default="runs/screening-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]


@grouped
def screen(
    ctx: typer.Context,
    *,
    data: Data = "",
    network: Network,
    reference: Reference = "",
    reading: Reading,
    screen: Screens = None,
    running: Running,
    out: Folder = None,
    fail_on: Strictness = FailOn.finding,
) -> None:
    """Tell which examples of a training set are poisoned; without a model one is trained on it.

    Nothing is copied or removed: suspects.csv and clean.csv list the examples. The same command
    continues an interrupted screening. Exit codes: 0 nothing found that --fail-on asks for, 1
    found, 2 bad input, 4 an unexpected error, 130 interrupted.
    """
    from anomech.screening.plan import as_yaml

    given = asked([network, reading, running], {"data": data, "reference": reference})
    plan = _plan(given, screen, running)
    folder = out or own_folder("screening", Path(plan.data).name or "data", as_yaml(plan))
    keep_details_in(ctx, folder)
    raise typer.Exit(_run(plan, folder, fail_on, running.readers))


def _plan(
    given: dict[str, Any], screens: Sequence[str] | None, running: Running
) -> "ScreeningPlan":
    """The plan file or the defaults; then the options, then --set."""
    from anomech.audit.plan import read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved
    from anomech.screening.plan import ScreeningPlan, from_mapping

    values = read_plan(running.plan) if running.plan else resolved(ScreeningPlan())
    for name, value in given.items():
        values = put(values, name, value, ScreeningPlan)
    values = chosen(values, "screens", screens, ScreeningPlan)
    return from_mapping(assign(values, running.settings or [], ScreeningPlan))


def _run(plan: "ScreeningPlan", out: Path, fail_on: FailOn, workers: int) -> int:
    """Screen, say what was found, and choose the exit code."""
    from anomech.records import read_findings
    from anomech.screening.pipeline import screen as run_screening

    with progress() as shown:
        found = run_screening(plan, out, shown, workers=workers)
    listed = read_findings(out / "findings.json")
    say(
        f"{plain(found.title)}: {found.suspects} of {found.examples} training examples are "
        f"suspected by {found.lead}.",
        style="bold",
    )
    for finding in listed[:SHOWN]:
        say_finding(finding)
    say_report(out)
    worst = {each.severity for each in listed if not each.accepted}
    failing = {FailOn.never: set(), FailOn.finding: {"high"}, FailOn.any: {"high", "medium"}}
    return FOUND if worst & failing[fail_on] else 0

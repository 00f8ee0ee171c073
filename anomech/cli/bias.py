"""`anomech bias`: what a model does by group, and whether its states tell the group."""

from pathlib import Path
from typing import Annotated

import typer

from anomech.cli.console import plain, progress, say
from anomech.cli.engines import HOW
from anomech.cli.grouped import grouped
from anomech.cli.groups import Network, Reading, Running
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHAT, WHERE, Reference
from anomech.cli.planning import asked, own_folder, plan_of
from anomech.cli.summary import say_report

GroupsFile = Annotated[
    Path,
    typer.Option(
        "--groups",
        metavar="FILE.csv",
        help="Groups of the examples: a column id, and one or more of groups.",
        rich_help_panel=WHAT,
    ),
]
Attribute = Annotated[
    str,
    typer.Option(
        "--attribute",
        metavar="COLUMN",
        help="Which column of groups.",
        show_default="the first",
        rich_help_panel=HOW,
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.npz",
        help="Where the object is in each picture: an array masks [examples, height, width].",
        rich_help_panel=WHAT,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the look.",
        show_default="runs/bias-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]


@grouped
def bias(
    ctx: typer.Context,
    *,
    network: Network,
    reference: Reference = "",
    groups: GroupsFile,
    attribute: Attribute = "",
    masks: Masks = None,
    reading: Reading,
    running: Running,
    out: Folder = None,
) -> None:
    """Show what a model does by group: accuracy, definitions of fairness, probes, salience.

    The definitions stand side by side and conflict; none of them is a verdict, so no exit code
    tells one: 0 done, 2 bad input, 4 an unexpected error, 130 interrupted.
    """
    from anomech.audit.plan import as_yaml
    from anomech.bias.pipeline import look
    from anomech.report.bias.render import headline

    given = asked([network, reading, running], {"reference": reference})
    plan = plan_of(given, running)
    folder = out or own_folder("bias", plan.title, f"{as_yaml(plan)} {groups} {attribute} {masks}")
    keep_details_in(ctx, folder)
    with progress() as shown:
        found = look(plan, groups, attribute, masks, folder, shown, running.readers)
    say(f"{plain(found.title)} by {plain(found.attribute)}: {plain(headline(found))}", style="bold")
    for row in found.definitions:
        gap = "too few examples" if row.gap is None else f"{row.gap:.3f}"
        say(f"{row.name}: {gap}" + (f" (class {plain(row.worst)})" if row.worst else ""))
    for remark in found.remarks:
        say(plain(remark))
    say_report(folder)

"""`anomech repair`: give a model other weights without its mechanism, and prove it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, say_whole, table, warn
from anomech.cli.engines import HOW
from anomech.cli.grouped import grouped
from anomech.cli.groups import Network, Reading, Running
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHAT, WHERE, Reference
from anomech.cli.planning import asked, chosen, own_folder
from anomech.cli.summary import say_report

if TYPE_CHECKING:
    from anomech.records import MethodResult, RepairRun, Share
    from anomech.repair.plan import RepairPlan

NOT_VERIFIED = 1

Audited = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        help="Run folder of an audit: its model, its trusted examples and what it flagged.",
        show_default=False,
    ),
]
Suspects = Annotated[
    str,
    typer.Option(
        metavar="RUN",
        help="Run folder of an audit whose flagged inputs are unlearned, if not RUN.",
        rich_help_panel=WHAT,
    ),
]
Mechanism = Annotated[
    int | None,
    typer.Option(
        help="Which of the audit's mechanisms to repair.",
        show_default="the largest",
        rich_help_panel=WHAT,
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Repair to try, may be given again; auto tries a short list. The best by trusted "
        "examples and flagged inputs is kept. `anomech describe mitigation` lists them.",
        show_default="auto",
        rich_help_panel=HOW,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        help="After so many seconds no further method is begun.",
        show_default="no limit",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the repair.",
        show_default="runs/repair-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]


@grouped
def repair(
    ctx: typer.Context,
    *,
    run: Audited = None,
    network: Network,
    reference: Reference = "",
    suspects: Suspects = "",
    mechanism: Mechanism = None,
    reading: Reading,
    method: Methods = None,
    seconds: Seconds = None,
    running: Running,
    out: Folder = None,
) -> None:
    """Repair a model: other weights without the mechanism that was flagged, and a proof.

    The proof asks whether trusted answers stay, flagged answers go, old and new triggers fail, how
    few poisoned examples bring it back, and what a second audit finds. The same command continues
    an interrupted repair. Exit codes: 0 verified, 1 repaired but not verified, 2 bad input,
    4 an unexpected error, 130 interrupted.
    """
    from anomech.repair.plan import as_yaml

    more = {
        "reference": reference,
        "suspects": suspects or (str(run) if run else ""),
        "mechanism": mechanism,
        "seconds": seconds,
    }
    plan = _plan(run, asked([network, reading, running], more), method or [], running)
    folder = out or own_folder("repair", plan.title, as_yaml(plan))
    keep_details_in(ctx, folder)
    from anomech.repair.pipeline import REPAIRED
    from anomech.repair.pipeline import repair as run_repair

    with progress() as shown:
        done = run_repair(plan, folder, shown, workers=running.readers)
    _say(done)
    say_whole(f"Weights: {plain(folder / REPAIRED)}")
    say_report(folder)
    raise typer.Exit(0 if done.verified else NOT_VERIFIED)


def _plan(
    run: Path | None, given: dict[str, Any], methods: list[str], running: Running
) -> "RepairPlan":
    """The plan file, or what the audit says; then the options, then --set."""
    from anomech.audit.plan import read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved
    from anomech.repair.flagged import plan_of
    from anomech.repair.plan import RepairPlan, from_mapping

    values = read_plan(running.plan) if running.plan else resolved(RepairPlan())
    if run is not None:
        audited = resolved(plan_of(run))
        values |= {name: audited[name] for name in ("model", "reference", "task", "budget", "seed")}
    for name, value in given.items():
        values = put(values, name, value, RepairPlan)
    named = [name for name in methods if name != "auto"]
    values = chosen(values, "methods", named, RepairPlan)
    return from_mapping(assign(values, running.settings or [], RepairPlan))


def _say(done: "RepairRun") -> None:
    """Before and after, then each check."""
    verdict = "verified" if done.verified else "not verified"
    say(f"{plain(done.title)}: repaired by {done.chosen}, {verdict}.", style="bold")
    accuracy, flagged = done.before["accuracy"], done.before.get("flagged")
    rows = [("as it was", _percent(accuracy), _percent(flagged), "")]
    rows += [_row(each) for each in done.methods]
    head = ("method", "accuracy", "flagged answers left", "seconds")
    table([(name, "right" if place else "left") for place, name in enumerate(head)], rows)
    for check in done.checks:
        say(f"{check.outcome:<9} {check.name}: {plain(check.said)}")
    if not done.verified:
        warn("the repaired weights are not verified; see the report.", label="warning")


def _row(each: "MethodResult") -> tuple[str, str, str, str]:
    if each.status != "done":
        return (each.name, "left out", "", "")
    return (each.name, _percent(each.accuracy), _percent(each.flagged), f"{each.seconds:.1f}")


def _percent(share: "Share | None") -> str:
    return "-" if share is None else f"{share.value:.1%}"

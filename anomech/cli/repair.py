"""`anomech repair`: give a model other weights without its mechanism, and prove it."""

import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, say_whole, table, warn
from anomech.cli.engines import HOW
from anomech.cli.guard import keep_details_in
from anomech.cli.options import (
    WHAT,
    WHERE,
    Backdoorbench,
    Crop,
    Factory,
    Keys,
    Memory,
    Reference,
    Resize,
    Seed,
    Settings,
    Weights,
    WeightsKey,
    Workers,
)
from anomech.cli.planning import asked, reading_processes
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
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Plan of an earlier repair to start from; the options here change it.",
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


def repair(
    ctx: typer.Context,
    run: Audited = None,
    model: Factory = "",
    weights: Weights = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    reference: Reference = "",
    suspects: Suspects = "",
    mechanism: Mechanism = None,
    keys: Keys = None,
    resize: Resize = None,
    crop: Crop = None,
    method: Methods = None,
    seconds: Seconds = None,
    seed: Seed = None,
    plan: PlanFile = None,
    settings: Settings = None,
    out: Folder = None,
    workers: Workers = None,
    memory: Memory = "",
) -> None:
    """Repair a model: other weights without the mechanism that was flagged, and a proof.

    The proof asks whether trusted answers stay, flagged answers go, old and new triggers fail, how
    few poisoned examples bring it back, and what a second audit finds. The same command continues
    an interrupted repair. Exit codes: 0 verified, 1 repaired but not verified, 2 bad input,
    4 an unexpected error, 130 interrupted.
    """
    given = asked(
        model=model,
        weights=weights,
        weights_key=weights_key,
        backdoorbench=backdoorbench,
        reference=reference,
        keys=keys,
        resize=resize,
        crop=crop,
        seed=seed,
        memory=memory,
    )
    suspected = suspects or (str(run) if run else "")
    given |= {"suspects": suspected, "mechanism": mechanism, "seconds": seconds}
    told = {name: value for name, value in given.items() if value not in ("", None)}
    resolved = _plan(plan, run, told, method or [], settings or [])
    folder = out or _folder(resolved)
    keep_details_in(ctx, folder)
    from anomech.repair.pipeline import REPAIRED
    from anomech.repair.pipeline import repair as run_repair

    with progress() as shown:
        done = run_repair(resolved, folder, shown, workers=reading_processes(workers))
    _say(done)
    say_whole(f"Weights: {plain(folder / REPAIRED)}")
    say_report(folder)
    raise typer.Exit(0 if done.verified else NOT_VERIFIED)


def _plan(
    file: Path | None,
    run: Path | None,
    given: dict[str, Any],
    methods: list[str],
    settings: list[str],
) -> "RepairPlan":
    """The plan file, or what the audit says; then the options, then --set."""
    from anomech.audit.plan import read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved
    from anomech.repair.flagged import plan_of
    from anomech.repair.plan import RepairPlan, from_mapping

    values = read_plan(file) if file else resolved(RepairPlan())
    if run is not None:
        audited = resolved(plan_of(run))
        values |= {name: audited[name] for name in ("model", "reference", "task", "budget", "seed")}
    for name, value in given.items():
        values = put(values, name, value, RepairPlan)
    if named := [name for name in methods if name != "auto"]:
        known = values.get("methods") or {}
        chosen = {name: known.get(name, {}) for name in dict.fromkeys(named)}
        values = put(values, "methods", chosen, RepairPlan)
    return from_mapping(assign(values, settings, RepairPlan))


def _folder(plan: "RepairPlan") -> Path:
    """A place that belongs to this plan alone, so that the same command finds it again."""
    from anomech.repair.plan import as_yaml

    name = re.sub(r"[^A-Za-z0-9.-]+", "-", plan.title.partition(":")[0]).strip("-.")[:40]
    code = blake2b(as_yaml(plan).encode(), digest_size=4).hexdigest()
    return Path("runs") / f"repair-{name or 'model'}-{code}"


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

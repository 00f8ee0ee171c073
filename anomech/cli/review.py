"""`anomech review`: the whole loop in one command, from files to a verified repair."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, say_whole, warn
from anomech.cli.engines import HOW
from anomech.cli.grouped import grouped
from anomech.cli.groups import Judging, Network, Reading, Running
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHERE, Inputs, Reference
from anomech.cli.planning import asked, own_folder, plan_over

if TYPE_CHECKING:
    from anomech.records import Review
    from anomech.review.plan import ReviewPlan

EXITS = {"clean": 0, "repaired": 0, "not clean": 1, "inconclusive": 3}
NOT_MET = 1

Policy = Annotated[
    str,
    typer.Option(
        metavar="DOMAIN",
        help="Policy that must be met: autonomous-vehicles, medical, fraud, biometrics, "
        "moderation or consumer. Needs --sensitivity.",
        show_default="none",
        rich_help_panel=HOW,
    ),
]
Rounds = Annotated[
    int | None,
    typer.Option(help="Of audit and repair at the most.", show_default="2", rich_help_panel=HOW),
]
CostSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--cost",
        metavar="NAME=VALUE",
        help="What the risk is counted with: attack, investigation, accuracy (of a per cent) or "
        "prior; a number or LOW,HIGH. May be given again.",
        rich_help_panel=HOW,
    ),
]
Scan = Annotated[
    bool | None,
    typer.Option(
        "--scan/--no-scan",
        help="Scan files and model first.",
        show_default="scan",
        rich_help_panel=HOW,
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help="Repair to try, as for anomech repair.",
        show_default="auto",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the review.",
        show_default="runs/review-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]


@grouped
def review(
    ctx: typer.Context,
    *,
    network: Network,
    reference: Reference = "",
    inputs: Inputs = "",
    reading: Reading,
    judging: Judging,
    policy: Policy = "",
    rounds: Rounds = None,
    costs: CostSettings = None,
    scan: Scan = None,
    method: Methods = None,
    running: Running,
    out: Folder = None,
) -> None:
    """Scan, audit, repair and prove, again until the model is clean or the rounds are over.

    It ends with a diagnosis in words, the expected cost of using the model, a domain's policy and a
    section for the model card. --set changes options of the audit. The same command continues an
    interrupted review. Exit codes: 0 clean, or repaired and verified; 1 not clean, or the policy is
    not met; 2 bad input; 3 too little evidence; 4 an unexpected error; 130 interrupted.
    """
    from anomech.review.plan import as_yaml

    data = {"reference": reference, "inputs": inputs}
    given = asked([network, reading, judging, running], data)
    own: dict[str, Any] = {
        "policy": policy,
        "rounds": rounds,
        "scan": scan,
        "costs": dict(map(_cost, costs or [])),
        "repair": {"methods": {name: {} for name in method}} if method else None,
    }
    told = {name: each for name, each in own.items() if each not in ("", None, {})}
    plan = _plan(given, told, judging, running)
    folder = out or own_folder("review", plan.title, as_yaml(plan))
    keep_details_in(ctx, folder)
    from anomech.review.pipeline import review as run_review

    with progress() as shown:
        done = run_review(plan, folder, shown, workers=running.readers)
    _say(done, folder)
    raise typer.Exit(outcome(done))


def outcome(done: "Review") -> int:
    """The exit code."""
    code = EXITS[done.conclusion or "inconclusive"]
    unmet = any(each.outcome != "met" for each in done.demands)
    return NOT_MET if code == 0 and unmet else code


def _plan(
    given: dict[str, Any], own: dict[str, Any], judging: Judging, running: Running
) -> "ReviewPlan":
    """The plan file or the defaults; then the audit's options, and what a review is asked beyond.

    What of costs and repairs is not given stays as the plan file has it.
    """
    from anomech.audit.plan import Plan, read_plan
    from anomech.kernel.config import resolved
    from anomech.review.plan import from_mapping

    values = read_plan(running.plan) if running.plan else {}
    start = values.get("audit") or resolved(Plan())
    audited = resolved(plan_over(start, given, running, judging.detector))
    for name in ("costs", "repair"):
        own[name] = {**(values.get(name) or {}), **own.get(name, {})}
    return from_mapping({**values, **own, "audit": audited})


def _cost(text: str) -> tuple[str, list[float]]:
    """A cost such as attack=100,1000.

    Raises:
        ConfigError: it is none.
    """
    from anomech.kernel.errors import ConfigError, shown

    name, _, values = text.partition("=")
    try:
        return name, [float(each) for each in values.split(",")]
    except ValueError:
        raise ConfigError(
            f"--cost takes NAME=VALUE or NAME=LOW,HIGH, such as attack=100,1000, not {shown(text)}."
        ) from None


def _say(done: "Review", folder: Path) -> None:
    """Steps, diagnosis, risk and policy."""
    say(f"{plain(done.title)}: {done.conclusion}.", style="bold")
    for step in done.steps:
        say(f"{step.kind} {step.round or ''}: {plain(step.said)}")
    for each in done.diagnoses[:5]:
        say(f"{plain(each.of)}: most like a {each.name}; {plain(each.because)}")
    if done.risk:
        low, high = done.risk.backdoor
        say(
            f"Expected cost {done.risk.low:.3g} to {done.risk.high:.3g}; chance of a backdoor now "
            f"{low:.2g} to {high:.2g}."
        )
    for demand in done.demands:
        say(f"{demand.outcome}: {demand.demand}. {plain(demand.said)}")
    if any(each.outcome != "met" for each in done.demands):
        warn(f"the policy {done.policy} is not met.", label="warning")
    say_whole(f"Review: {plain(folder)}")
    say_whole(f"Report: {plain(folder / 'report.html')}")

"""`anomech review`: the whole loop in one command, from files to a verified repair."""

import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, say_whole, warn
from anomech.cli.engines import HOW
from anomech.cli.guard import keep_details_in
from anomech.cli.options import (
    WHERE,
    Backdoorbench,
    Budget,
    Crop,
    Factory,
    Fast,
    Inputs,
    Keys,
    Memory,
    Power,
    Reference,
    Resize,
    Seed,
    Settings,
    Weights,
    WeightsKey,
    Workers,
)
from anomech.cli.planning import asked, plan_of, reading_processes

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
    bool, typer.Option("--scan/--no-scan", help="Scan files and model first.", rich_help_panel=HOW)
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
ReviewPlanFile = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="Plan of an earlier review.", rich_help_panel=HOW),
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


def review(
    ctx: typer.Context,
    model: Factory = "",
    weights: Weights = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    reference: Reference = "",
    inputs: Inputs = "",
    keys: Keys = None,
    resize: Resize = None,
    crop: Crop = None,
    budget: Budget = None,
    seed: Seed = None,
    sensitivity: Power = None,
    policy: Policy = "",
    rounds: Rounds = None,
    costs: CostSettings = None,
    scan: Scan = True,
    method: Methods = None,
    plan: ReviewPlanFile = None,
    settings: Settings = None,
    out: Folder = None,
    workers: Workers = None,
    memory: Memory = "",
    fast: Fast = False,
) -> None:
    """Scan, audit, repair and prove, again until the model is clean or the rounds are over.

    It ends with a diagnosis in words, the expected cost of using the model, a domain's policy and a
    section for the model card. --set changes options of the audit. The same command continues an
    interrupted review. Exit codes: 0 clean, or repaired and verified; 1 not clean, or the policy is
    not met; 2 bad input; 3 too little evidence; 4 an unexpected error; 130 interrupted.
    """
    given = asked(
        model=model,
        weights=weights,
        weights_key=weights_key,
        backdoorbench=backdoorbench,
        reference=reference,
        inputs=inputs,
        keys=keys,
        resize=resize,
        crop=crop,
        budget=budget,
        seed=seed,
        memory=memory,
        fast=fast,
        sensitivity=sensitivity,
    )
    own: dict[str, Any] = {
        "policy": policy or None,
        "rounds": rounds,
        "scan": scan,
        "costs": dict(map(_cost, costs or [])),
        "repair": {"methods": {name: {} for name in method}} if method else None,
    }
    told = {name: each for name, each in own.items() if each is not None and each != {}}
    resolved = _plan(plan, given, told, settings or [])
    folder = out or _folder(resolved)
    keep_details_in(ctx, folder)
    from anomech.review.pipeline import review as run_review

    with progress() as shown:
        done = run_review(resolved, folder, shown, workers=reading_processes(workers))
    _say(done, folder)
    raise typer.Exit(outcome(done))


def outcome(done: "Review") -> int:
    """The exit code."""
    code = EXITS[done.conclusion or "inconclusive"]
    unmet = any(each.outcome != "met" for each in done.demands)
    return NOT_MET if code == 0 and unmet else code


def _plan(
    file: Path | None, given: dict[str, Any], own: dict[str, Any], settings: list[str]
) -> "ReviewPlan":
    """The plan file, or an audit's plan made of the options; then what a review is asked beyond."""
    from anomech.audit.plan import read_plan
    from anomech.kernel.config import resolved
    from anomech.review.plan import from_mapping

    if file:
        return from_mapping({**read_plan(file), **own})
    return from_mapping({"audit": resolved(plan_of(None, given, [], settings)), **own})


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


def _folder(plan: "ReviewPlan") -> Path:
    """A place that belongs to this plan alone, so that the same command finds it again."""
    from anomech.review.plan import as_yaml

    name = re.sub(r"[^A-Za-z0-9.-]+", "-", plan.title.partition(":")[0]).strip("-.")[:40]
    code = blake2b(as_yaml(plan).encode(), digest_size=4).hexdigest()
    return Path("runs") / f"review-{name or 'model'}-{code}"


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

"""`anomech check`: what an audit would meet, said in seconds."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import progress, say, say_whole, table, warn
from anomech.cli.options import (
    AccessTo,
    Adapter,
    Backdoorbench,
    Base,
    Budget,
    Crop,
    Detectors,
    Factory,
    Fast,
    Full,
    Inputs,
    Keys,
    Memory,
    PassTimeout,
    PlanFile,
    Reference,
    Resize,
    Seed,
    Settings,
    Weights,
    WeightsKey,
    Workers,
)
from anomech.cli.planning import asked, plan_of, reading_processes
from anomech.cli.summary import say_finding

if TYPE_CHECKING:
    from anomech.records import Preflight

FOUND, INCONCLUSIVE = 1, 3


class Format(StrEnum):
    """How the answer is written."""

    text = "text"
    json = "json"


def check(
    model: Factory = "",
    weights: Weights = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    adapter: Adapter = "",
    base: Base = "",
    reference: Reference = "",
    inputs: Inputs = "",
    keys: Keys = None,
    resize: Resize = None,
    crop: Crop = None,
    budget: Budget = None,
    detector: Detectors = None,
    access: AccessTo = None,
    seed: Seed = None,
    plan: PlanFile = None,
    settings: Settings = None,
    workers: Workers = None,
    memory: Memory = "",
    pass_timeout: PassTimeout = 0.0,
    fast: Fast = False,
    full: Full = False,
    form: Annotated[
        Format, typer.Option("--format", help="A table, or JSON for programs.")
    ] = Format.text,
) -> None:
    """Say in seconds what an audit would meet: outputs, labels, coverage, cost. Nothing is written.

    The model's outputs are logits: one number a class, before any softmax. Exit codes: 0 an audit
    can start, 1 a finding of high severity, 2 bad input, 3 an audit would give no verdicts, 4 an
    unexpected error, 130 interrupted.
    """
    given = asked(
        model=model,
        weights=weights,
        weights_key=weights_key,
        backdoorbench=backdoorbench,
        adapter=adapter,
        base=base,
        reference=reference,
        inputs=inputs,
        keys=keys,
        resize=resize,
        crop=crop,
        budget=budget,
        seed=seed,
        memory=memory,
        pass_timeout=pass_timeout,
        fast=fast,
        full=full,
        access=access or "",
    )
    resolved = plan_of(plan, given, detector or [], settings or [])
    from anomech.audit.check import check as preflight

    with progress() as shown:
        found = preflight(resolved, shown, reading_processes(workers))
    if form is Format.json:
        say_whole(found.model_dump_json(indent=2, exclude_none=True))
    else:
        _say(found)
    raise typer.Exit(outcome(found))


def outcome(found: "Preflight") -> int:
    """The exit code: 3 where an audit would give no verdicts, 1 for a high finding, otherwise 0."""
    if found.inconclusive:
        return INCONCLUSIVE
    return FOUND if any(each.fails for each in found.findings) else 0


def _say(found: "Preflight") -> None:
    needed = f"{found.needed} for a budget of {found.budget:g}"
    rows = [
        *found.facts.items(),
        ("inputs", str(found.inputs)),
        ("trusted examples", f"{found.trusted}, {needed} (those to learn from included)"),
        ("left to calibrate", str(found.calibrating)),
        ("time of the audit", "unknown" if found.seconds is None else _duration(found.seconds)),
    ]
    table([("what", "left"), ("found", "left")], rows)
    say("")
    for each in found.findings:
        say_finding(each)
        say(f"        {each.detail} {each.action}")
    if not found.findings:
        say("Nothing stands in the way of an audit.", style="bold")
    if found.inconclusive:
        warn("an audit of this plan would give no verdicts.", label="inconclusive")


def _duration(seconds: float) -> str:
    """About so long, in a unit that fits."""
    if seconds < 1.5:
        return "about a second here"
    if seconds < 90:
        return f"about {round(seconds)} seconds here"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes here"
    return f"about {seconds / 3600:.1f} hours here"

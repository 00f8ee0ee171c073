"""`anomech check`: what an audit would meet, said in seconds."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import progress, say, say_whole, table, warn
from anomech.cli.grouped import grouped
from anomech.cli.groups import Judging, Network, Reading, Running
from anomech.cli.options import Inputs, Reference
from anomech.cli.planning import asked, plan_of
from anomech.cli.summary import say_finding

if TYPE_CHECKING:
    from anomech.records import Preflight

FOUND, INCONCLUSIVE = 1, 3


class Format(StrEnum):
    """How the answer is written."""

    text = "text"
    json = "json"


Form = Annotated[Format, typer.Option("--format", help="A table, or JSON for programs.")]


@grouped
def check(
    *,
    network: Network,
    reference: Reference = "",
    inputs: Inputs = "",
    reading: Reading,
    judging: Judging,
    running: Running,
    form: Form = Format.text,
) -> None:
    """Say in seconds what an audit would meet: outputs, labels, coverage, cost. Nothing is written.

    The model's outputs are logits: one number a class, before any softmax. Exit codes: 0 an audit
    can start, 1 a finding of high severity, 2 bad input, 3 an audit would give no verdicts, 4 an
    unexpected error, 130 interrupted.
    """
    data = {"reference": reference, "inputs": inputs}
    plan = plan_of(asked([network, reading, judging, running], data), running, judging.detector)
    from anomech.audit.check import check as preflight

    with progress() as shown:
        found = preflight(plan, shown, running.readers)
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

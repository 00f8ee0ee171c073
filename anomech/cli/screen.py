"""`anomech screen`: which examples of a training set are poisoned."""

import re
from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say
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
from anomech.cli.summary import say_finding, say_report

if TYPE_CHECKING:
    from anomech.screening.plan import ScreeningPlan

FOUND = 1
SHOWN = 12
"""Findings that are listed; the report has them all."""


class FailOn(StrEnum):
    """From which result on the exit code is 1."""

    never = "never"
    finding = "finding"
    any = "any"


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
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        help="Plan of an earlier screening to start from; the options here change it.",
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
Strictness = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="From what on the exit code is 1: a finding of high severity, or any of medium too.",
        rich_help_panel=WHERE,
    ),
]


def screen(
    ctx: typer.Context,
    data: Data = "",
    model: Factory = "",
    weights: Weights = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    reference: Reference = "",
    keys: Keys = None,
    resize: Resize = None,
    crop: Crop = None,
    screen: Screens = None,
    seed: Seed = None,
    plan: PlanFile = None,
    settings: Settings = None,
    out: Folder = None,
    workers: Workers = None,
    memory: Memory = "",
    fail_on: Strictness = FailOn.finding,
) -> None:
    """Tell which examples of a training set are poisoned; without a model one is trained on it.

    Nothing is copied or removed: suspects.csv and clean.csv list the examples. The same command
    continues an interrupted screening. Exit codes: 0 nothing found that --fail-on asks for, 1
    found, 2 bad input, 4 an unexpected error, 130 interrupted.
    """
    named = asked(
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
    given = {**named, **({"data": data} if data else {})}
    resolved = _plan(plan, given, screen, settings)
    folder = out or _folder(resolved)
    keep_details_in(ctx, folder)
    raise typer.Exit(_run(resolved, folder, fail_on, reading_processes(workers)))


def _plan(
    file: Path | None,
    given: dict[str, Any],
    screens: Sequence[str] | None,
    settings: Sequence[str] | None,
) -> "ScreeningPlan":
    """The plan file or the defaults; then the options, then --set."""
    from anomech.audit.plan import read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved
    from anomech.screening.plan import ScreeningPlan, from_mapping

    values = read_plan(file) if file else resolved(ScreeningPlan())
    for name, value in given.items():
        values = put(values, name, value, ScreeningPlan)
    if screens:
        known = values.get("screens") or {}
        chosen = {name: known.get(name, {}) for name in dict.fromkeys(screens)}
        values = put(values, "screens", chosen, ScreeningPlan)
    return from_mapping(assign(values, settings or [], ScreeningPlan))


def _folder(plan: "ScreeningPlan") -> Path:
    """A place that belongs to this plan alone, so that the same command finds it again."""
    from anomech.screening.plan import as_yaml

    name = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(plan.data).name).strip("-.")[:40]
    code = blake2b(as_yaml(plan).encode(), digest_size=4).hexdigest()
    return Path("runs") / f"screening-{name or 'data'}-{code}"


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

"""`anomech scan`: judge a whole model, its files, weights and triggers, before it is used."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import plain, progress, say, warn
from anomech.cli.engines import HOW
from anomech.cli.grouped import grouped
from anomech.cli.groups import Network, Reading, Running, is_folder
from anomech.cli.guard import keep_details_in
from anomech.cli.options import (
    WHAT,
    WHERE,
    Backdoorbench,
    BaselineFile,
    Factory,
    FailOn,
    Forms,
    Reference,
    Strictness,
    WeightsKey,
)
from anomech.cli.planning import accepted_in, asked, chosen, own_folder
from anomech.cli.summary import say_evidence, say_finding, say_report, worst_first

if TYPE_CHECKING:
    from anomech.evidence.baseline import Baseline
    from anomech.records import Finding, ModelScan
    from anomech.scan.plan import ScanPlan

FOUND = 1
INCONCLUSIVE = 3
SHOWN = 20
"""Findings that are listed; the report has them all."""


Artefact = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="FILE|FOLDER",
        help="Weights file or folder of a model; every file is looked through and none is run.",
        rich_help_panel=WHAT,
    ),
]
Base = Annotated[
    str,
    typer.Option(
        metavar="FILE|FOLDER",
        help="Weights that the model was tuned from, to see what the tuning changed.",
        rich_help_panel=WHAT,
    ),
]
CleanModels = Annotated[
    list[str] | None,
    typer.Option(
        "--clean-model",
        metavar="FILE",
        help="Weights of a clean model of the same architecture, to compare with; may be given "
        "again, and the more the better.",
        rich_help_panel=WHAT,
    ),
]
Scanners = Annotated[
    list[str] | None,
    typer.Option(
        "--scanner",
        metavar="NAME",
        help="Scanner to run; may be given again. `anomech describe scanner` lists them.",
        show_default="a choice that fits what is given",
        rich_help_panel=HOW,
    ),
]
Opinion = Annotated[
    bool | None,
    typer.Option(
        "--second-opinion/--no-second-opinion",
        help="Ask picklescan about pickles as well; it needs pip install 'anomech[scan]'.",
        show_default="no-second-opinion",
        rich_help_panel=HOW,
    ),
]
Level = Annotated[
    float | None,
    typer.Option(
        help="Chance of a false finding on a clean model that is accepted.",
        show_default="0.05",
        rich_help_panel=HOW,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder of the scan.",
        show_default="runs/scan-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]


@grouped
def scan(
    ctx: typer.Context,
    *,
    model: Factory = "",
    weights: Artefact = "",
    weights_key: WeightsKey = "",
    backdoorbench: Backdoorbench = "",
    reference: Reference = "",
    base: Base = "",
    clean_model: CleanModels = None,
    reading: Reading,
    scanner: Scanners = None,
    level: Level = None,
    second_opinion: Opinion = None,
    running: Running,
    out: Folder = None,
    baseline: BaselineFile = None,
    forms: Forms = None,
    fail_on: Strictness = FailOn.finding,
) -> None:
    """Judge a whole model before it is used: its files, its weights, and triggers in it.

    With --weights alone it looks at files and weights; with --model and --reference it also
    searches triggers. No network connection is opened. The same command continues an interrupted
    scan. Exit codes: 0 nothing found that --fail-on asks for, 1 found, 2 bad input, 3 too little
    evidence for a verdict, 4 an unexpected error, 130 interrupted.
    """
    from anomech.scan.plan import as_yaml

    folder = model if model and is_folder(model) else ""
    network = Network(
        model="" if folder and not reference else model,
        weights="" if folder else _weights(model, weights),
        weights_key=weights_key,
        backdoorbench=backdoorbench,
        base=base if folder and _is_adapter(model) else "",
    )
    more = {
        "reference": reference,
        "files": weights or backdoorbench or folder,
        "base": base,
        "clean_models": clean_model,
        "level": level,
        "second_opinion": second_opinion,
    }
    plan = _plan(_asked(folder, network, reading, running, more), scanner, running)
    place = out or own_folder("scan", plan.title, as_yaml(plan))
    keep_details_in(ctx, place)
    code = _run(plan, place, fail_on, running.readers, accepted_in(baseline))
    say_evidence(place, forms or [])
    raise typer.Exit(code)


def _asked(
    folder: str, network: Network, reading: Reading, running: Running, more: dict[str, Any]
) -> dict[str, Any]:
    """Settings by their place in a plan.

    A model folder that must not be opened is looked through all the same: that is what it is for.
    """
    from anomech.kernel.errors import UnsafeCheckpoint

    try:
        return asked([network, reading, running], more)
    except UnsafeCheckpoint as error:
        if not folder:
            raise
        warn(f"{error} Its files are looked through, and no trigger is searched in it.")
        return asked([running], more | {"reference": ""})


def _is_adapter(model: str) -> bool:
    from anomech.artefacts.hugging_face_folders import is_adapter

    return is_adapter(Path(model))


def _weights(model: str, weights: str) -> str:
    """The file whose weights go into the model; files that are only looked through are none."""
    if not model or not weights:
        return ""
    from anomech.artefacts.files.choosing import weights_file

    return str(weights_file(Path(weights)))


def _plan(given: dict[str, Any], scanners: Sequence[str] | None, running: Running) -> "ScanPlan":
    """The plan file or the defaults; then the options, then --set."""
    from anomech.audit.plan import read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved
    from anomech.scan.plan import ScanPlan, from_mapping

    values = read_plan(running.plan) if running.plan else resolved(ScanPlan())
    for name, value in given.items():
        values = put(values, name, value, ScanPlan)
    values = chosen(values, "scanners", scanners, ScanPlan)
    return from_mapping(assign(values, running.settings or [], ScanPlan))


def _run(
    plan: "ScanPlan", out: Path, fail_on: FailOn, workers: int, accepted: "Baseline | None"
) -> int:
    """Scan, say what was found, and choose the exit code."""
    from anomech.records import read_findings
    from anomech.scan.pipeline import scan as run_scan

    with progress() as shown:
        found = run_scan(plan, out, shown, workers=workers, baseline=accepted)
    listed = read_findings(out / "findings.json")
    _say(found, listed)
    say_report(out)
    if found.verdict == "inconclusive":
        warn(" ".join(found.reasons), label="inconclusive")
    return outcome(found, listed, fail_on)


def outcome(found: "ModelScan", listed: Sequence["Finding"], fail_on: FailOn) -> int:
    """The exit code: 1 for what `fail_on` asks for, 3 without a verdict, otherwise 0."""
    worst = {each.severity for each in listed if not each.accepted}
    if fail_on is not FailOn.never and "high" in worst:
        return FOUND
    if fail_on is FailOn.any and "medium" in worst:
        return FOUND
    return INCONCLUSIVE if found.verdict == "inconclusive" else 0


def _say(found: "ModelScan", listed: Sequence["Finding"]) -> None:
    """The verdict, then findings, the most severe first."""
    chance = f" (p = {found.chance.value:.2g})" if found.chance else ""
    say(f"{plain(found.title)}: {found.verdict}{chance}.", style="bold")
    ranked = worst_first(listed)
    for finding in ranked[:SHOWN]:
        say_finding(finding)
    if len(ranked) > SHOWN:
        say(f"... and {len(ranked) - SHOWN} more findings, see the report.")

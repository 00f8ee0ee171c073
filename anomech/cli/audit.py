"""`anomech audit`: judge inputs of a model against trusted examples."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import progress, warn
from anomech.cli.engines import EngineName, EngineSettings, chosen_engine
from anomech.cli.grouped import grouped
from anomech.cli.groups import Judging, Network, Reading, Running
from anomech.cli.guard import keep_details_in
from anomech.cli.options import WHERE, BaselineFile, Forms, Inputs, Profile, Reference
from anomech.cli.planning import accepted_in, asked, own_folder, plan_of
from anomech.cli.summary import (
    earlier,
    say_evidence,
    say_mechanisms,
    say_outcome,
    say_report,
    say_reused,
)

if TYPE_CHECKING:
    from anomech.audit.plan import Plan
    from anomech.evidence.baseline import Baseline
    from anomech.kernel.types import Engine
    from anomech.records import Finding, Run

FOUND = 1
INCONCLUSIVE = 3


class FailOn(StrEnum):
    """From which result on the exit code is 1."""

    never = "never"
    finding = "finding"
    flag = "flag"


RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Run folder.",
        show_default="runs/audit-NAME-CODE, one for each plan",
        rich_help_panel=WHERE,
    ),
]
Strictness = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="From what on the exit code is 1: a finding of high severity, or any flag.",
        rich_help_panel=WHERE,
    ),
]


@grouped
def audit(
    ctx: typer.Context,
    *,
    network: Network,
    reference: Reference = "",
    profile: Profile = "",
    inputs: Inputs = "",
    reading: Reading,
    judging: Judging,
    running: Running,
    engine: EngineName = "serial",
    engine_settings: EngineSettings = None,
    out: RunFolder = None,
    baseline: BaselineFile = None,
    forms: Forms = None,
    fail_on: Strictness = FailOn.finding,
) -> None:
    """Judge inputs of a model against examples you trust, and write a report.

    The model's outputs are logits: one number a class, before any softmax. The same command
    continues an interrupted run. Exit codes: 0 nothing found that --fail-on asks for, 1 found,
    2 bad input, 3 too little evidence for an answer, 4 an unexpected error, 130 interrupted.
    """
    from anomech.audit.plan import as_yaml

    data = {"reference": reference, "profile": profile, "inputs": inputs}
    given = asked([network, reading, judging, running], data)
    plan = plan_of(given, running, judging.detector)
    chosen = chosen_engine(engine, engine_settings or [])
    folder = out or own_folder("audit", plan.title, as_yaml(plan))
    keep_details_in(ctx, folder)
    code = _run(plan, folder, fail_on, running.readers, chosen, accepted_in(baseline))
    say_evidence(folder, forms or [])
    raise typer.Exit(code)


def _run(
    plan: "Plan",
    out: Path,
    fail_on: FailOn,
    workers: int,
    engine: "Engine | None",
    accepted: "Baseline | None",
) -> int:
    """Audit, say what was found, and choose the exit code."""
    from datetime import UTC, datetime

    from anomech.audit.pipeline import audit as run_audit
    from anomech.audit.write.accepting import accept
    from anomech.records import Verdict, iterate_rows, read_findings

    before = earlier(out)
    with progress() as shown:
        run = run_audit(plan, out, shown, engine=engine, workers=workers)
    if before == run:
        say_reused(run)
    run = accept(out, accepted, datetime.now(UTC).date())
    verdicts = iterate_rows(out / "verdicts.jsonl", Verdict)
    decisions: Counter[str] = Counter(row.decision for row in verdicts)
    listed = read_findings(out / "findings.json")
    say_outcome(run, decisions, listed)
    if decisions["flag"]:
        say_mechanisms(run)
    say_report(out)
    if run.status == "inconclusive":
        warn(run.message, label="inconclusive")
    return outcome(run, decisions["flag"], listed, fail_on)


def outcome(run: "Run", flags: int, listed: Sequence["Finding"], fail_on: FailOn) -> int:
    """The exit code: 3 without verdicts, 1 for what `fail_on` asks for, otherwise 0."""
    if run.status == "inconclusive":
        return INCONCLUSIVE
    if fail_on is FailOn.flag and flags:
        return FOUND
    # A finding needs flags or worse, so "flag" is the stricter of the two.
    if fail_on is not FailOn.never and any(finding.fails for finding in listed):
        return FOUND
    return 0

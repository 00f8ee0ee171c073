"""`anomech audit`: judge inputs of a model against trusted examples."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import progress, warn
from anomech.cli.engines import HOW, EngineName, EngineSettings, chosen_engine
from anomech.cli.summary import earlier, say_mechanisms, say_outcome, say_report, say_reused

if TYPE_CHECKING:
    from anomech.audit.plan import Plan
    from anomech.kernel.types import Engine
    from anomech.records import Finding, Run

FOUND = 1
INCONCLUSIVE = 3

FLAGSHIP = "detectors.functional_attribution"

WHAT, WHERE = "What to audit", "What to do with it"


class FailOn(StrEnum):
    """From which result on the exit code is 1."""

    never = "never"
    finding = "finding"
    flag = "flag"


def audit(
    model: Annotated[
        str,
        typer.Option(
            metavar="FACTORY.py:FUNCTION",
            help="Function of your own that returns the network, best with logits as outputs; the "
            "file is run.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Weights for it; nothing in the file is run.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    weights_key: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="Which weights, if the file holds several: state_dict_ema, deep/ema or teacher.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    backdoorbench: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="attack_result.pt of BackdoorBench, instead of a model.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    reference: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Trusted examples with labels: one folder per class, or .npz.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Profile that `anomech fit` wrote, instead of trusted examples.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    inputs: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Inputs to judge: a folder of images, .npz or .npy.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    budget: Annotated[
        float | None,
        typer.Option(
            help="False-positive rate that flags may have.",
            show_default="0.01",
            rich_help_panel=HOW,
        ),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Detector that gives the verdicts; given again, others run beside it.",
            show_default="functional_attribution",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of everything random.", show_default="0", rich_help_panel=HOW),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plan to start from; the options here change it.",
            rich_help_panel=HOW,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any option of the plan, such as task.watch=last; may be given again.",
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder.",
            show_default="runs/audit-NAME-CODE, one for each plan",
            rich_help_panel=WHERE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1024,
            help="Processes that read image files ahead; they change no result.",
            show_default="one less than processors, 4 at most",
            rich_help_panel=HOW,
        ),
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="What activations of one pass may take, such as 512MB or 4GB.",
            show_default="1GB",
            rich_help_panel=HOW,
        ),
    ] = "",
    pass_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="What one forward pass of the model may take; code that hangs outside of Python "
            "is not stopped.",
            show_default="no limit",
            min=0,
            rich_help_panel=HOW,
        ),
    ] = 0.0,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Look at the last layer alone: hardly dearer than inference, but blind to what "
            "only earlier layers show.",
            rich_help_panel=HOW,
        ),
    ] = False,
    engine: EngineName = "serial",
    engine_settings: EngineSettings = None,
    fail_on: Annotated[
        FailOn,
        typer.Option(
            help="From what on the exit code is 1: a finding of high severity, or any flag.",
            rich_help_panel=WHERE,
        ),
    ] = FailOn.finding,
) -> None:
    """Judge inputs of a model against examples you trust, and write a report.

    The model's outputs are logits: one number a class, before any softmax. The same command
    continues an interrupted run. Exit codes: 0 nothing found that --fail-on asks for, 1 found,
    2 bad input, 3 too little evidence for an answer, 4 an unexpected error, 130 interrupted.
    """
    named = {
        **model_settings(model, weights, backdoorbench, weights_key),
        "reference": reference,
        "profile": profile,
        "inputs": inputs,
        "budget": budget,
        "seed": seed,
    }
    given: dict[str, Any] = {n: value for n, value in named.items() if value not in ("", None)}
    if memory:
        given["task.memory"] = mebibytes(memory)
    if pass_timeout:
        given["task.pass_timeout"] = pass_timeout
    if fast:
        given |= {f"{FLAGSHIP}.tracer": "last_layer"}
    resolved = plan_of(plan, given, detector or [], settings or [])
    readers = _spare_processors() if workers is None else workers
    chosen = chosen_engine(engine, engine_settings or [])
    raise typer.Exit(_run(resolved, out or _folder(resolved), fail_on, readers, chosen))


def model_settings(factory: str, weights: str, backdoorbench: str, key: str) -> dict[str, Any]:
    """Settings for a model on the command line; it replaces one of another source in a plan.

    Raises:
        ConfigError: two sources are named.
    """
    from anomech.kernel.errors import ConfigError

    if backdoorbench and (factory or weights or key):
        raise ConfigError("give a factory with weights or a BackdoorBench file, not both.")
    if backdoorbench:
        return {"model": {"use": "backdoorbench", "file": backdoorbench}}
    source = "factory" if factory or weights else ""
    names = {"use": source, "factory": factory, "weights": weights, "key": key}
    return {f"model.{name}": value for name, value in names.items()}


def mebibytes(size: str) -> int:
    """MiB of a size such as 512MB, 4GB or 1.5 GiB.

    Raises:
        ConfigError: it is no size, less than a mebibyte or beyond any machine.
    """
    from anomech.kernel.errors import ConfigError, shortened

    found = re.fullmatch(r"\s*([0-9.]+)\s*([MGT])i?B\s*", size, re.IGNORECASE)
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    scale = {"M": 1, "G": 2**10, "T": 2**20}[found[2].upper() if found else "M"]
    if not 1 <= number * scale < 2**32:
        raise ConfigError(f"--memory takes a size such as 512MB or 4GB, not '{shortened(size)}'.")
    return int(number * scale)


def _spare_processors() -> int:
    return min(4, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else 1)


def plan_of(
    file: Path | None,
    given: dict[str, Any],
    detectors: Sequence[str],
    settings: Sequence[str],
) -> "Plan":
    """The plan file, the plan of the profile or the defaults; then the options, then --set."""
    from anomech.audit.plan import BASELINES, Plan, from_mapping, read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved

    values = read_plan(file) if file else resolved(Plan())
    if "profile" in given and not file:
        from anomech.audit.load.saved import peek

        values |= peek(Path(given["profile"]))["plan"]
    for name, value in given.items():
        values = put(values, name, value, Plan)
    if detectors:
        known = values.get("detectors") or {}
        chosen = dict.fromkeys([*detectors, *BASELINES])
        values = put(values, "lead", detectors[0], Plan)
        values = put(values, "detectors", {name: known.get(name, {}) for name in chosen}, Plan)
    return from_mapping(assign(values, settings, Plan))


def _folder(plan: "Plan") -> Path:
    """A place that belongs to this plan alone, so that the same command finds it again."""
    from anomech.audit.plan import as_yaml

    name = re.sub(r"[^A-Za-z0-9.-]+", "-", plan.title.partition(":")[0]).strip("-.")[:40]
    code = blake2b(as_yaml(plan).encode(), digest_size=4).hexdigest()
    return Path("runs") / f"audit-{name or 'model'}-{code}"


def _run(plan: "Plan", out: Path, fail_on: FailOn, workers: int, engine: "Engine | None") -> int:
    """Audit, say what was found, and choose the exit code."""
    from anomech.audit.pipeline import audit as run_audit
    from anomech.records import Verdict, iterate_rows, read_findings

    before = earlier(out)
    with progress() as shown:
        run = run_audit(plan, out, shown, engine=engine, workers=workers)
    verdicts = iterate_rows(out / "verdicts.jsonl", Verdict)
    decisions: Counter[str] = Counter(row.decision for row in verdicts)
    listed = read_findings(out / "findings.json")
    if before == run:
        say_reused(run)
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

"""`anomech federate`: groups of clients that should learn together, and what each gains by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomech.cli.console import errors, plain, progress, say, say_whole, table
from anomech.cli.engines import HOW, EngineName, EngineSettings, chosen_engine

if TYPE_CHECKING:
    from anomech.records.federation import FederationRun, MethodResult

WHAT, WHERE = "What to run", "Where things are"

Clients = Annotated[
    str,
    typer.Option(
        metavar="DIR|SUITE",
        help="Folder with an entry a client (class folders or .npz), a suite, or a plan.",
        rich_help_panel=WHAT,
    ),
]
Listed = Annotated[bool, typer.Option("--list", help="List the suites that come with the package.")]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        metavar="METHOD",
        help="One of the suite, or such as emd_linkage or fedavg+krum; may be given again.",
        show_default="emd_linkage, or those of the suite",
        rich_help_panel=WHAT,
    ),
]
PlanSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option of the plan, such as rounds.count=5; may be given again.",
        rich_help_panel=WHAT,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Of everything random.", show_default="0", rich_help_panel=HOW),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run.", show_default="runs/federation", rich_help_panel=WHERE),
]
Data = Annotated[
    Path | None,
    typer.Option(envvar="ANOMECH_DATA", help="Folder of data sets.", rich_help_panel=WHERE),
]


def federate(
    clients: Clients = "",
    listed: Listed = False,
    methods: Methods = None,
    settings: PlanSettings = None,
    seed: Seed = None,
    out: Out = None,
    data: Data = None,
    engine: EngineName = "serial",
    engine_settings: EngineSettings = None,
) -> None:
    """Find which clients of a federation belong together, and train a model for each group.

    The same command goes on with an interrupted run, round by round, to the same numbers.
    """
    from anomech.audit.settings import assign
    from anomech.federated import plan as plans
    from anomech.kernel.errors import ConfigError

    if listed:
        rows = [(name, str(plans.read(name).get("title", ""))) for name in plans.shipped()]
        table([("suite", "left"), ("what it measures", "left")], rows)
        return
    if not clients:
        raise ConfigError(
            "name clients: a folder, or a suite; `anomech federate --list` shows those that are "
            "shipped."
        )
    values = assign(plans.read(clients), settings or [], plans.Plan)
    if seed is not None:
        values["seed"] = seed
    plan = plans.with_methods(plans.from_mapping(values), methods or [])
    from anomech.federated.run import run_federation

    folder = out or Path("runs") / "federation"
    with progress() as shown:
        run = run_federation(
            plan,
            folder,
            data=data,
            engine=chosen_engine(engine, engine_settings or []),
            progress=shown,
            told=_tell,
        )
    _say(run, folder)


def _tell(result: "MethodResult") -> None:
    """A line about a method that is done."""
    line = f"{result.name}: mean {result.mean:.1%}, worst {result.worst:.1%}"
    errors().print(plain(f"{line}, {result.seconds:.0f} s"), soft_wrap=True)


def _say(run: "FederationRun", folder: Path) -> None:
    """A row a method, and where the rest is."""
    from anomech.report.federation.render import FILE, headline

    poisoned = [("attack success", "right"), ("malicious inside", "right")] if run.malicious else []
    columns = [
        *(("method", "left"), ("groups", "right"), ("Rand index", "right"), ("mean", "right")),
        *(("worst", "right"), *poisoned, ("traffic", "right"), ("time", "right")),
    ]
    table(columns, [_row(run, each) for each in run.methods])
    say(headline(run))
    say_whole(f"Report: {plain(folder / FILE)}")


def _row(run: "FederationRun", result: "MethodResult") -> list[str]:
    from anomech.report.federation.render import megabytes

    rand = "–" if result.rand_index is None else f"{result.rand_index:.3f}"
    success = "–" if result.success is None else f"{result.success:.1%}"
    poisoned = [success, f"{result.shared} of {run.malicious}"] if run.malicious else []
    return [
        *(result.name, str(result.models), rand, f"{result.mean:.2%}", f"{result.worst:.2%}"),
        *(*poisoned, megabytes(result.down + result.up), f"{result.seconds:.0f} s"),
    ]

"""`anomech bench`: run a suite of cells and write a leaderboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomech.cli.console import errors, plain, progress, say, say_whole, table
from anomech.cli.engines import EngineName, EngineSettings, chosen_engine
from anomech.cli.other_benches import other_kind

if TYPE_CHECKING:
    from anomech.bench.runner import Finished
    from anomech.bench.specs import Suite
    from anomech.records import RepairCard
    from anomech.records.scorecards import Scorecard

FAILED = 3
"""Exit code where a cell failed: as for an audit without an answer."""

WHAT, WHERE = "What to run", "Where things are"


SuiteName = Annotated[
    str, typer.Argument(metavar="[SUITE]", help="Name of a suite, or a YAML file.")
]
Listed = Annotated[bool, typer.Option("--list", help="List the suites that come with the package.")]
Cells = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Cells to run, such as '*BadNets*' or '*/knn'; may be given again.",
        rich_help_panel=WHAT,
    ),
]
SuiteSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option of the suite, such as seeds=0,1; may be given again.",
        rich_help_panel=WHAT,
    ),
]
BenchFolder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the bench.", show_default="runs/bench-SUITE", rich_help_panel=WHERE
    ),
]
Zoo = Annotated[
    Path | None,
    typer.Option(
        help="Folder of trained networks; suites share it.",
        show_default="zoo, beside the folder of the bench",
        rich_help_panel=WHERE,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(envvar="ANOMECH_DATA", help="Folder of data sets.", rich_help_panel=WHERE),
]


def bench(
    suite: SuiteName = "",
    listed: Listed = False,
    cells: Cells = None,
    settings: SuiteSettings = None,
    out: BenchFolder = None,
    zoo: Zoo = None,
    data: Data = None,
    engine: EngineName = "serial",
    engine_settings: EngineSettings = None,
) -> None:
    """Measure detectors, or repairs, where the truth is known: networks and seeds by a suite.

    The same command continues an interrupted bench: finished cells are not run again, failed ones
    are. Exit codes: 0 every cell that was asked for has an answer, 2 bad input, 3 a cell failed,
    130 interrupted.
    """
    if listed:
        _list()
        return
    if not suite:
        from anomech.kernel.errors import ConfigError

        raise ConfigError("name a suite; `anomech bench --list` shows those that are shipped.")
    if _of_repairs(suite):
        raise typer.Exit(_repairs(suite, settings or [], cells or [], out, zoo, data))
    values, where = _read(suite), chosen_engine(engine, engine_settings or [])
    if (run_it := other_kind(values)) is not None:
        run_it(values, settings or [], out, zoo, data, where)
        return
    resolved = _suite(values, settings or [])
    folder = out or Path("runs") / f"bench-{resolved.name}"
    from anomech.bench.runner import run_suite

    with progress() as shown:
        done = run_suite(
            resolved,
            folder,
            zoo=zoo or folder.parent / "zoo",
            data=data,
            patterns=cells or [],
            engine=where,
            progress=shown,
            told=_tell,
        )
    _say(done, resolved.budgets[0], folder)
    if done.run.failed:
        raise typer.Exit(FAILED)


def _of_repairs(name: str) -> bool:
    """Whether a suite is one of repairs: those compare mitigations, and name no detectors."""
    from anomech.audit.plan import read_plan
    from anomech.bench.repairs.suite import shipped

    return name in shipped() or (Path(name).is_file() and "methods" in read_plan(Path(name)))


def _repairs(
    name: str,
    settings: list[str],
    patterns: list[str],
    out: Path | None,
    zoo: Path | None,
    data: Path | None,
) -> int:
    """Run a suite of repairs; the exit code."""
    from anomech.audit.settings import assign
    from anomech.bench.repairs.runner import run_repairs
    from anomech.bench.repairs.suite import RepairSuite, from_mapping, read_suite

    resolved = from_mapping(assign(read_suite(name), settings, RepairSuite))
    folder = out or Path("runs") / f"bench-{resolved.name}"
    with progress() as shown:
        done = run_repairs(
            resolved,
            folder,
            zoo=zoo or folder.parent / "zoo",
            data=data,
            patterns=patterns,
            progress=shown,
            told=_tell_repair,
        )
    say_whole(f"Bench:       {plain(folder)}")
    say_whole(f"Leaderboard: {plain(done.page)}")
    return FAILED if any(each.status == "failed" for each in done.cards) else 0


def _tell_repair(card: "RepairCard") -> None:
    """A line about a repair that was tried."""
    result = f"failed, {card.why}"
    if card.der is not None:
        result = f"DER {card.der:.3f}, accuracy {card.accuracy:.3f}, success {card.success:.3f}"
    errors().print(plain(f"{card.id}: {result}"), soft_wrap=True)


def _list() -> None:
    from anomech.bench.repairs.suite import read_suite as read_repairs
    from anomech.bench.repairs.suite import shipped as repairs
    from anomech.bench.suite_files import read_suite, shipped

    rows = [(name, str(read_suite(name).get("title", ""))) for name in shipped()]
    rows += [(name, str(read_repairs(name).get("title", ""))) for name in repairs()]
    table([("suite", "left"), ("what it measures", "left")], rows)


def _read(name: str) -> dict[str, Any]:
    from anomech.bench.suite_files import read_suite

    return read_suite(name)


def _suite(values: dict[str, Any], settings: list[str]) -> "Suite":
    """The suite file, then --set."""
    from anomech.audit.settings import assign
    from anomech.bench.specs import Suite
    from anomech.bench.suite import from_mapping

    return from_mapping(assign(values, settings, Suite))


def _tell(card: "Scorecard") -> None:
    """A line about a cell that was run."""
    errors().print(plain(f"{card.id}: {_result(card)}"), soft_wrap=True)


def _result(card: "Scorecard") -> str:
    if card.status != "done":
        return f"{card.status}, {card.reason}"
    parts = [] if card.auroc is None else [f"AUROC {card.auroc.value:.3f}"]
    for rates in [each for each in card.rates if each.threshold == "calibrated"][:1]:
        parts += [] if rates.tpr is None else [f"TPR {rates.tpr:.3f}"]
        parts.append(f"FPR {rates.fpr:.3f} at {rates.budget:g}")
    if card.cost:
        parts.append(f"{card.cost.fit_seconds + card.cost.score_seconds:.1f} s")
    return ", ".join(parts)


def _say(done: "Finished", budget: float, folder: Path) -> None:
    """One line a detector, and where the rest is."""
    from anomech.report.board.markdown import overview

    head, rows = overview(done.cards, budget)
    table([(name, "right" if place else "left") for place, name in enumerate(head)], rows)
    say(
        f"{done.run.done} of {done.run.cells} cells answered, {done.run.failed} failed. Numbers "
        f"are means over cases at a budget of {budget:g}; oracle DER is the published form."
    )
    say_whole(f"Bench:       {plain(folder)}")
    say_whole(f"Leaderboard: {plain(folder / done.page)}")

"""Benches of other kinds than a matrix of audits; `kind` in the file of a suite says which."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomech.cli.console import plain, progress, say, say_whole, table

if TYPE_CHECKING:
    from anomech.kernel.types import Engine

Runner = Callable[
    [Mapping[str, Any], Sequence[str], Path | None, Path | None, Path | None, "Engine | None"], None
]
"""(values of the suite, settings, folder, zoo, data, engine): runs it and says what came out."""


def other_kind(values: Mapping[str, Any]) -> Runner | None:
    """What runs a suite of another kind; None for a matrix of audits."""
    return {"score_flips": flips, "stealth": stealth}.get(str(values.get("kind", "")))


def flips(
    values: Mapping[str, Any],
    settings: Sequence[str],
    out: Path | None,
    zoo: Path | None,
    data: Path | None,
    engine: "Engine | None",
) -> None:
    """Scores under attack: one row a detector and trainer."""
    from anomech.audit.settings import assign
    from anomech.bench.flip_run import run_flips
    from anomech.bench.flip_suite import FlipSuite, from_mapping
    from anomech.report.flips.render import FILE, headline, lines

    suite = from_mapping(assign(values, settings, FlipSuite))
    folder, place = _places(suite.name, out, zoo)
    with progress() as shown:
        run = run_flips(suite, folder, zoo=place, data=data, engine=engine, progress=shown)
    columns = [("detector", "left"), ("trainer", "left"), ("clean", "right"), ("normal", "right")]
    rows = [
        [line.detector, line.trainer, *(f"{value:.3f}" for value in line.auroc)]
        for line in lines(run.rows)
    ]
    table([*columns, ("foreign", "right"), ("both", "right")], rows)
    say(f"AUROC by what an attacker moves, means over foreign sets. {headline(run)}")
    say_whole(f"Report: {plain(folder / FILE)}")


def stealth(
    values: Mapping[str, Any],
    settings: Sequence[str],
    out: Path | None,
    zoo: Path | None,
    data: Path | None,
    engine: "Engine | None",
) -> None:
    """How well attacks hide: what is planted, and what finds it."""
    from anomech.audit.settings import assign
    from anomech.bench.stealth_run import run_stealth
    from anomech.bench.stealth_suite import StealthSuite, from_mapping
    from anomech.report.stealth.render import FILE, headline, tables

    suite = from_mapping(assign(values, settings, StealthSuite))
    folder, place = _places(suite.name, out, zoo)
    with progress() as shown:
        run = run_stealth(suite, folder, zoo=place, data=data, engine=engine, progress=shown)
    for each in tables(run):
        say(each.title, style="bold")
        sides = ["left", *["right"] * (len(each.head) - 1)]
        table(list(zip(each.head, sides, strict=True)), each.rows)
        say("")
    say(headline(run))
    say_whole(f"Report: {plain(folder / FILE)}")


def _places(name: str, out: Path | None, zoo: Path | None) -> tuple[Path, Path]:
    folder = out or Path("runs") / f"bench-{name}"
    return folder, zoo or folder.parent / "zoo"

"""Running a suite: first its networks, then its cells, each once; what is done stays done."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from anomech.audit.write.place import locked
from anomech.bench.cells import Cell, cases, cells
from anomech.bench.comparisons import compare
from anomech.bench.ledger import TOP, open_ledger
from anomech.bench.parts import parts_of
from anomech.bench.patterns import matching
from anomech.bench.places import CARD, Bench
from anomech.bench.specs import Suite
from anomech.bench.suite import as_yaml
from anomech.bench.work import judge_case, refuse_cell, train_network
from anomech.bench.worlds.known import kind_of
from anomech.engines.serial import Serial
from anomech.kernel.errors import RunError
from anomech.kernel.types import Engine, Progress, silent
from anomech.records import read_record, write_record, write_text
from anomech.records.scorecards import BenchRun, Scorecard
from anomech.report.board.leaderboard import render_leaderboard
from anomech.report.board.markdown import markdown
from anomech.report.board.spreadsheet import comma_separated, comma_separated_over_cases

Piece = TypeVar("Piece")


@dataclass(frozen=True)
class Finished:
    """What a bench came to.

    Attributes:
        run: the top record.
        cards: of all cells of the suite that have been run, in its order.
        page: name of the leaderboard in the folder.
    """

    run: BenchRun
    cards: tuple[Scorecard, ...]
    page: str


def run_suite(
    suite: Suite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    patterns: Sequence[str] = (),
    engine: Engine | None = None,
    progress: Progress = silent,
    told: Callable[[Scorecard], None] = lambda card: None,
) -> Finished:
    """Run a suite's cells, or those that are missing, and write its folder.

    A cell is not run again unless its part of the suite, the data or the version of this package
    has changed, or it had failed.

    Args:
        suite: resolved, see `anomech.bench.suite.from_mapping`.
        out: folder of the bench.
        zoo: folder of trained networks, which suites share.
        data: folder of data sets; None will do for those that come with the package.
        patterns: globs of the cells to run; none is all.
        engine: where networks are trained and cells judged; None is here, with every stage told.
            Workers on other machines must see `out` and `zoo` at the same paths.
        progress: told about stages, networks and cells.
        told: given the card of every cell that is run.

    Raises:
        ConfigError: the suite names what there is not, or a pattern matches no cell.
        DataError: data is missing or too small.
        RunError: the folder holds something else or cannot be written.
        KeyboardInterrupt: what is done stays.
    """
    everything = cells(suite)
    asked = set(matching([cell.id for cell in everything], patterns))
    clock = time.monotonic()
    # Data that is missing is said before the folder is made.
    bench = _bench(suite, out, zoo, data, progress if engine is None else silent)
    with locked(out):
        before = _opened(out, suite, everything)
        write_text(out / "suite.yaml", as_yaml(suite))
        ledger = open_ledger(bench, everything, before, clock)
        write_record(out / TOP, ledger.now())

        def kept(card: Scorecard) -> None:
            ledger.enter(card)
            told(card)

        try:
            missing = [cell for cell in everything if cell.id in asked and ledger.lacks(cell)]
            _work(bench, missing, engine or Serial(), progress, kept)
        except BaseException:
            with suppress(RunError):  # the first error is the one to show
                _written(bench, everything, ledger.now(), compared=False)
            raise
        return _written(bench, everything, ledger.now(), compared=True)


def _opened(out: Path, suite: Suite, everything: Sequence[Cell]) -> BenchRun | None:
    """What the folder holds of the same suite; None if it is empty.

    Raises:
        RunError: it holds something else, or cells that the suite no longer has.
    """
    if not (out / TOP).exists():
        if out.exists() and not (out.is_dir() and _empty(out)):
            raise RunError(
                f"{out} is not an empty folder and holds no bench; choose another --out."
            )
        return None
    before = read_record(out / TOP, BenchRun)
    if before.suite != suite.name:
        raise RunError(f"{out} holds a bench of '{before.suite}'; choose another --out.")
    known = {cell.id for cell in everything}
    found = (path.parent.relative_to(out / "cells") for path in out.glob("cells/*/*/card.json"))
    strange = sorted(path.as_posix() for path in found if path.as_posix() not in known)
    if strange:
        raise RunError(
            f"{out} holds cells that the suite does not have any more, such as {strange[0]}; "
            "remove them or choose another --out, so that tables never mix two suites."
        )
    return before


def _empty(folder: Path) -> bool:
    return all(path.name.startswith(".") for path in folder.iterdir())


def _bench(suite: Suite, out: Path, zoo: Path, data: Path | None, progress: Progress) -> Bench:
    """What workers share; all data is read before any compute."""
    worlds = {name: kind_of(part).open(part, data) for name, part in parts_of(suite).items()}
    # Absolute paths, since workers may have another working folder.
    return Bench(suite, worlds, out.resolve(), zoo.resolve(), progress)


def _work(
    bench: Bench,
    missing: Sequence[Cell],
    engine: Engine,
    progress: Progress,
    kept: Callable[[Scorecard], None],
) -> None:
    """Train what is needed, then judge the cells whose network can be used."""
    unusable = _trained(bench, missing, engine, progress)
    sound = []
    for cell in missing:
        if reason := unusable.get(cell.trained):
            kept(refuse_cell(bench, cell, reason))
        else:
            sound.append(cell)
    done = 0
    progress("cells", done, len(sound))
    with closing(_mapped(engine, judge_case, bench, cases(sound))) as results:
        for case, cards in results:
            if not all((bench.folder(cell) / CARD).exists() for cell in case):
                raise RunError(
                    "a worker wrote its cells where this process cannot see them; --out and --zoo "
                    "must be on a file system that all machines share."
                )
            for card in cards:
                kept(card)
            done += len(case)
            progress("cells", done, len(sound))


def _trained(
    bench: Bench, missing: Sequence[Cell], engine: Engine, progress: Progress
) -> dict[tuple[str, str, str, int], str]:
    """See that every network is in the zoo; reasons of those that cannot be used."""
    networks = list({cell.trained: cell for cell in missing}.values())
    reasons = {}
    # Attacks that are learned look at the clean twin, so that is there first.
    for attacked in (False, True):
        some = [cell for cell in networks if bool(cell.network.attacks) is attacked]
        with closing(_mapped(engine, train_network, bench, some)) as results:
            for cell, reason in results:
                reasons[cell.trained] = reason
                progress("networks", len(reasons), len(networks))
    return reasons


def _mapped(
    engine: Engine, function: Callable[[Bench, Piece], Any], bench: Bench, some: Sequence[Piece]
) -> Generator[tuple[Piece, Any], None, None]:
    """Cells or cases with what comes of them; workers end with the generator."""
    if not some:
        return
    results = engine.map(function, bench, some)
    with closing(results) if isinstance(results, Generator) else nullcontext():
        yield from zip(some, results, strict=True)


def _written(bench: Bench, everything: Sequence[Cell], run: BenchRun, compared: bool) -> Finished:
    """Write the top record and all tables from the cards that are there."""
    found = [(cell, card) for cell in everything if (card := bench.card(cell))]
    judged = [cell for cell, card in found if card.status == "done"]
    cards = tuple(card for _, card in found)
    failed = sum(card.status == "failed" for card in cards)
    suite, out = bench.suite, bench.out
    folders = {card.id: bench.audit(card) for card in cards}
    first, budget = next(iter(suite.detectors)), suite.budgets[0]
    run = run.model_copy(
        update={
            "status": "complete" if len(cards) == len(everything) else "interrupted",
            "done": len(cards) - failed,
            "failed": failed,
            "comparisons": tuple(compare(judged, folders, first, budget)) if compared else (),
        }
    )
    write_record(out / TOP, run)
    write_text(out / "leaderboard.md", markdown(run, cards, suite.budgets))
    write_text(out / "leaderboard.csv", comma_separated(cards))
    over_cases = comma_separated_over_cases(cards, suite.budgets)
    write_text(out / "leaderboard-means.csv", over_cases)
    return Finished(run, cards, render_leaderboard(out).name)

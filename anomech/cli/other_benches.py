"""Benches of other kinds than a matrix of audits; the file of a suite says which it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from anomech.cli.console import errors, plain, progress, say, say_whole, table

if TYPE_CHECKING:
    from anomech.kernel.types import Engine
    from anomech.records import RepairCard
    from anomech.records.modelcards import ModelCard
    from anomech.records.screencards import ScreenCard
    from anomech.report.tables import Table

S = TypeVar("S")
"""A suite."""


class Asked(NamedTuple):
    """What the command line asks of a suite.

    Attributes:
        name: of the suite, or its file.
        settings: options of the suite, NAME=VALUE.
        cells: patterns of what to run; empty is everything.
        out: folder of the bench; None is one for the suite.
        zoo: folder of trained networks; None is beside it.
        data: folder of data sets.
        engine: where work is done; None is here.
    """

    name: str
    settings: Sequence[str]
    cells: Sequence[str]
    out: Path | None
    zoo: Path | None
    data: Path | None
    engine: "Engine | None"

    def suite(self, cls: type[S], made: Callable[[Mapping[str, Any]], S], room: str) -> S:
        """The suite file, then --set.

        Args:
            cls: of the suite.
            made: makes it of a mapping.
            room: package that suites of its kind come with.
        """
        from anomech.audit.settings import assign
        from anomech.bench.suite_files import read_suite

        return made(assign(read_suite(self.name, room), self.settings, cls))

    def places(self, name: str) -> tuple[Path, Path]:
        """Folder and zoo of a suite of this name."""
        folder = self.out or Path("runs") / f"bench-{name}"
        return folder, self.zoo or folder.parent / "zoo"


Runner = Callable[[Asked], int]
"""Runs a suite, says what came out, and how many of its pieces failed."""


def other_kind(name: str) -> Runner | None:
    """What runs a suite of another kind; None for a matrix of audits.

    Raises:
        ConfigError: no such suite, or a kind that is none.
    """
    from anomech.audit.plan import read_plan
    from anomech.bench.models import suite as whole
    from anomech.bench.repairs import suite as repairing
    from anomech.bench.suite_files import read_suite, shipped
    from anomech.kernel.config import nearest
    from anomech.kernel.errors import ConfigError, shown

    marked = ((whole.ROOM, whole.MARK, models), (repairing.ROOM, repairing.MARK, repairs))
    for room, mark, runner in marked:
        path = shipped(room).get(name, Path(name))
        if path.is_file() and mark in read_plan(path):
            return runner
    kinds: dict[str, Runner] = {"score_flips": flips, "screening": screens, "stealth": stealth}
    kind = read_suite(name).get("kind")
    if kind is None:
        return None
    if str(kind) not in kinds:
        hint = nearest(str(kind), list(kinds))
        raise ConfigError(f"no kind of suite is named {shown(kind)}: {hint}")
    return kinds[str(kind)]


def titles() -> list[tuple[str, str]]:
    """All suites that come with the package, of every kind, with what they measure."""
    from anomech.bench import suite_files
    from anomech.bench.models import suite as whole
    from anomech.bench.repairs import suite as repairing

    return [
        (name, str(suite_files.read_suite(name, room).get("title", "")))
        for room in (suite_files.ROOM, whole.ROOM, repairing.ROOM)
        for name in suite_files.shipped(room)
    ]


def models(asked: Asked) -> int:
    """Whole networks: one row a scanner."""
    from anomech.bench.models.runner import run_models
    from anomech.bench.models.suite import ROOM, ModelSuite, from_mapping
    from anomech.report.models.render import tables

    suite = asked.suite(ModelSuite, from_mapping, ROOM)
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        found = run_models(
            suite,
            folder,
            zoo=zoo,
            data=asked.data,
            patterns=asked.cells,
            progress=shown,
            told=_tell_model,
        )
    _show(tables(found)[:1])
    say(f"{len(found.networks)} networks; {found.failed} scans failed.")
    say_whole(f"Bench:       {plain(folder)}")
    say_whole(f"Leaderboard: {plain(folder / 'leaderboard.html')}")
    return found.failed


def repairs(asked: Asked) -> int:
    """Repairs: one row a mitigation."""
    from anomech.bench.repairs.runner import run_repairs
    from anomech.bench.repairs.suite import ROOM, RepairSuite, from_mapping

    suite = asked.suite(RepairSuite, from_mapping, ROOM)
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        done = run_repairs(
            suite,
            folder,
            zoo=zoo,
            data=asked.data,
            patterns=asked.cells,
            progress=shown,
            told=_tell_repair,
        )
    say_whole(f"Bench:       {plain(folder)}")
    say_whole(f"Leaderboard: {plain(done.page)}")
    return sum(each.status == "failed" for each in done.cards)


def flips(asked: Asked) -> int:
    """Scores under attack: one row a detector and trainer."""
    from anomech.bench.flip_run import run_flips
    from anomech.bench.flip_suite import FlipSuite, from_mapping
    from anomech.bench.suite_files import ROOM
    from anomech.report.flips.render import FILE, headline, lines

    suite = asked.suite(FlipSuite, from_mapping, ROOM)
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        run = run_flips(
            suite, folder, zoo=zoo, data=asked.data, engine=asked.engine, progress=shown
        )
    columns = [("detector", "left"), ("trainer", "left"), ("clean", "right"), ("normal", "right")]
    rows = [
        [line.detector, line.trainer, *(f"{value:.3f}" for value in line.auroc)]
        for line in lines(run.rows)
    ]
    table([*columns, ("foreign", "right"), ("both", "right")], rows)
    say(f"AUROC by what an attacker moves, means over foreign sets. {headline(run)}")
    say_whole(f"Report: {plain(folder / FILE)}")
    return 0


def stealth(asked: Asked) -> int:
    """How well attacks hide: what is planted, and what finds it."""
    from anomech.bench.stealth_run import run_stealth
    from anomech.bench.stealth_suite import StealthSuite, from_mapping
    from anomech.bench.suite_files import ROOM
    from anomech.report.stealth.render import FILE, headline, tables

    suite = asked.suite(StealthSuite, from_mapping, ROOM)
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        run = run_stealth(
            suite, folder, zoo=zoo, data=asked.data, engine=asked.engine, progress=shown
        )
    _show(tables(run))
    say(headline(run))
    say_whole(f"Report: {plain(folder / FILE)}")
    return 0


def screens(asked: Asked) -> int:
    """Screens on training sets: one row a screen."""
    from anomech.bench.screens.runner import run_screens
    from anomech.bench.screens.suite import ScreenSuite, from_mapping
    from anomech.bench.suite_files import ROOM
    from anomech.report.screens.render import FILE, headline, tables

    suite = asked.suite(ScreenSuite, from_mapping, ROOM)
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        found = run_screens(
            suite,
            folder,
            zoo=zoo,
            data=asked.data,
            patterns=asked.cells,
            progress=shown,
            told=_tell_screen,
        )
    _show(tables(found)[1:3])
    say(headline(found))
    say_whole(f"Report: {plain(folder / FILE)}")
    return sum(card.status == "failed" for card in found.cards)


def _show(tables: "Iterable[Table]") -> None:
    """Tables of a page, each under its title."""
    for each in tables:
        say(each.title, style="bold")
        sides = ["left", *["right"] * (len(each.head) - 1)]
        table(list(zip(each.head, sides, strict=True)), each.rows)
        say("")


def _tell_model(card: "ModelCard") -> None:
    """A line about a network that was scanned."""
    if card.status == "done":
        said = f"{card.largest:.3g}" + ("" if card.top is None else f" at class {card.top}")
        said += f", {card.seconds:.1f} s"
    else:
        said = f"{card.status}, {card.reason}"
    errors().print(plain(f"{card.network}/{card.scanner}: {said}"), soft_wrap=True)


def _tell_screen(card: "ScreenCard") -> None:
    """A line about a screen that was run."""
    said = f"{card.status}, {card.why}" if card.status != "done" else f"{card.seconds:.1f} s"
    if card.auroc is not None:
        said = f"AUROC {card.auroc:.3f}, {said}"
    if card.f1 is not None:
        said = f"F1 {card.f1:.2f}, {said}"
    if card.success is not None:
        said = f"{said}, success {card.success:.0%} without its suspects"
    errors().print(plain(f"{card.case}/{card.screen}: {said}"), soft_wrap=True)


def _tell_repair(card: "RepairCard") -> None:
    """A line about a repair that was tried."""
    result = f"failed, {card.why}"
    if card.der is not None:
        result = f"DER {card.der:.3f}, accuracy {card.accuracy:.3f}, success {card.success:.3f}"
    errors().print(plain(f"{card.id}: {result}"), soft_wrap=True)

"""Benches of other kinds than a matrix of audits; the file of a suite says which it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anomech.cli.console import errors, plain, progress, say, say_whole, table

if TYPE_CHECKING:
    from anomech.kernel.types import Engine
    from anomech.records import RepairCard
    from anomech.records.modelcards import ModelCard
    from anomech.records.screencards import ScreenCard


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

    def places(self, name: str) -> tuple[Path, Path]:
        """Folder and zoo of a suite of this name."""
        folder = self.out or Path("runs") / f"bench-{name}"
        return folder, self.zoo or folder.parent / "zoo"


Runner = Callable[[Asked], int]
"""Runs a suite, says what came out, and how many of its pieces failed."""


def other_kind(name: str) -> Runner | None:
    """What runs a suite of another kind; None for a matrix of audits."""
    from anomech.audit.plan import read_plan
    from anomech.bench.models.suite import is_one
    from anomech.bench.repairs.suite import shipped
    from anomech.bench.suite_files import read_suite

    if is_one(name):
        return models
    if name in shipped() or (Path(name).is_file() and "methods" in read_plan(Path(name))):
        return repairs
    kinds: dict[str, Runner] = {"score_flips": flips, "stealth": stealth, "screening": screens}
    return kinds.get(str(read_suite(name).get("kind", "")))


def titles() -> list[tuple[str, str]]:
    """All suites that come with the package, of every kind, with what they measure."""
    from anomech.bench.models import suite as whole
    from anomech.bench.repairs import suite as repairing
    from anomech.bench.suite_files import read_suite, shipped

    found = [
        *((name, read_suite(name)) for name in shipped()),
        *((name, whole.read_model_suite(name)) for name in whole.shipped()),
        *((name, repairing.read_suite(name)) for name in repairing.shipped()),
    ]
    return [(name, str(values.get("title", ""))) for name, values in found]


def models(asked: Asked) -> int:
    """Whole networks: one row a scanner."""
    from anomech.audit.settings import assign
    from anomech.bench.models.runner import run_models
    from anomech.bench.models.suite import ModelSuite, from_mapping, read_model_suite
    from anomech.report.models.render import tables

    suite = from_mapping(assign(read_model_suite(asked.name), asked.settings, ModelSuite))
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
    first = tables(found)[0]
    table(
        [(head, "right" if place else "left") for place, head in enumerate(first.head)], first.rows
    )
    say(f"{len(found.networks)} networks; {found.failed} scans failed.")
    say_whole(f"Bench:       {plain(folder)}")
    say_whole(f"Leaderboard: {plain(folder / 'leaderboard.html')}")
    return found.failed


def repairs(asked: Asked) -> int:
    """Repairs: one row a mitigation."""
    from anomech.audit.settings import assign
    from anomech.bench.repairs.runner import run_repairs
    from anomech.bench.repairs.suite import RepairSuite, from_mapping, read_suite

    suite = from_mapping(assign(read_suite(asked.name), asked.settings, RepairSuite))
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
    from anomech.audit.settings import assign
    from anomech.bench.flip_run import run_flips
    from anomech.bench.flip_suite import FlipSuite, from_mapping
    from anomech.bench.suite_files import read_suite
    from anomech.report.flips.render import FILE, headline, lines

    suite = from_mapping(assign(read_suite(asked.name), asked.settings, FlipSuite))
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
    from anomech.audit.settings import assign
    from anomech.bench.stealth_run import run_stealth
    from anomech.bench.stealth_suite import StealthSuite, from_mapping
    from anomech.bench.suite_files import read_suite
    from anomech.report.stealth.render import FILE, headline, tables

    suite = from_mapping(assign(read_suite(asked.name), asked.settings, StealthSuite))
    folder, zoo = asked.places(suite.name)
    with progress() as shown:
        run = run_stealth(
            suite, folder, zoo=zoo, data=asked.data, engine=asked.engine, progress=shown
        )
    for each in tables(run):
        say(each.title, style="bold")
        sides = ["left", *["right"] * (len(each.head) - 1)]
        table(list(zip(each.head, sides, strict=True)), each.rows)
        say("")
    say(headline(run))
    say_whole(f"Report: {plain(folder / FILE)}")
    return 0


def screens(asked: Asked) -> int:
    """Screens on training sets: one row a screen."""
    from anomech.audit.settings import assign
    from anomech.bench.screens.runner import run_screens
    from anomech.bench.screens.suite import ScreenSuite, from_mapping
    from anomech.bench.suite_files import read_suite
    from anomech.report.screens.render import FILE, headline, tables

    suite = from_mapping(assign(read_suite(asked.name), asked.settings, ScreenSuite))
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
    for each in tables(found)[1:3]:
        say(each.title, style="bold")
        sides = ["left", *["right"] * (len(each.head) - 1)]
        table(list(zip(each.head, sides, strict=True)), each.rows)
        say("")
    say(headline(found))
    say_whole(f"Report: {plain(folder / FILE)}")
    return sum(card.status == "failed" for card in found.cards)


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

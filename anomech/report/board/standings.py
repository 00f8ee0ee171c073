"""A bench folder as one small value: cells by detector and case, means and ranges over seeds."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from anomech import records
from anomech.kernel.errors import RunError
from anomech.records.scorecards import BenchRun, Rates, Role, Scorecard, ThresholdKind

USUAL_BUDGET = 0.01
"""The budget the page speaks of, if the bench has it; else the smallest."""

CLEAN = "clean"
"""Subject of a network in which nothing was planted."""

ROLES: tuple[Role, ...] = ("development", "check")

Measurement = Callable[[Scorecard], float | None]


@dataclass(frozen=True)
class Case:
    """What detectors are compared on: one column of the heat map. Seeds are averaged over."""

    data: str
    network: str
    subject: str
    condition: str
    group: str
    role: Role
    axis: str
    value: float | None

    @property
    def name(self) -> str:
        """Subject and condition; of a clean network with a condition, the condition alone."""
        if self.subject == CLEAN and self.condition:
            return self.condition
        return " · ".join(word for word in (self.subject, self.condition) if word)


@dataclass(frozen=True)
class Spread:
    """A mean over seeds, or cases, with the smallest and the largest."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Entry:
    """One card with its report, as a link from the page, "" if there is none."""

    card: Scorecard
    report: str


@dataclass(frozen=True)
class Standing:
    """All seeds of one detector on one case."""

    entries: tuple[Entry, ...] = ()

    @property
    def done(self) -> tuple[Scorecard, ...]:
        """Cards that hold results."""
        return tuple(entry.card for entry in self.entries if entry.card.status == "done")

    @property
    def without(self) -> tuple[Scorecard, ...]:
        """Cards that say why there are none: failed ones, and inconclusive ones."""
        return tuple(entry.card for entry in self.entries if entry.card.status != "done")

    def spread(self, measure: Measurement) -> Spread | None:
        """Mean and range of what was measured; None if nothing was."""
        return spread(measure(card) for card in self.done)


@dataclass(frozen=True)
class Unreadable:
    """A card that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Standings:
    """Everything the page is made from.

    Attributes:
        run: the top record.
        detectors: their names, in the order of the cells' folders.
        cases: in the order of the columns.
        cells: by detector and case; what is not there was not run.
        budgets: that rates were measured at, ascending.
        budget: the one the page speaks of.
        unreadable: cards that are damaged.
    """

    run: BenchRun
    detectors: tuple[str, ...]
    cases: tuple[Case, ...]
    cells: Mapping[tuple[str, Case], Standing]
    budgets: tuple[float, ...]
    budget: float
    unreadable: tuple[Unreadable, ...]

    def standing(self, detector: str, case: Case) -> Standing:
        """The cell of a detector on a case, empty if it was not run."""
        return self.cells.get((detector, case), Standing())

    def cards(self, case: Case) -> list[Scorecard]:
        """What is known about a case, over all detectors."""
        cells = (self.standing(detector, case) for detector in self.detectors)
        return [entry.card for cell in cells for entry in cell.entries]

    def is_clean(self, case: Case) -> bool:
        """Whether nothing was planted and no input is anomalous: all flags are false."""
        cards = self.cards(case)
        if case.subject != CLEAN or any(card.anomalous for card in cards):
            return False
        return any(card.status == "done" for card in cards) or not case.condition


def read(out: Path) -> Standings:
    """Read a bench folder; a damaged card is listed, the others are kept.

    Raises:
        RunError: it is no bench folder or is of another version.
    """
    run = records.read_top(out, "bench.json", BenchRun, "bench")
    entries, unreadable = _entries(out)
    cells: dict[tuple[str, Case], list[Entry]] = {}
    for entry in entries:
        cells.setdefault((entry.card.detector, case_of(entry.card)), []).append(entry)
    budgets = sorted({rates.budget for entry in entries for rates in entry.card.rates})
    return Standings(
        run=run,
        detectors=tuple(dict.fromkeys(entry.card.detector for entry in entries)),
        cases=_in_order(dict.fromkeys(case_of(entry.card) for entry in entries)),
        cells={
            key: Standing(tuple(sorted(found, key=lambda entry: entry.card.seed)))
            for key, found in cells.items()
        },
        budgets=tuple(budgets),
        budget=USUAL_BUDGET if USUAL_BUDGET in budgets or not budgets else budgets[0],
        unreadable=tuple(unreadable),
    )


def case_of(card: Scorecard) -> Case:
    """The case a card belongs to."""
    return Case(
        data=card.part or card.data,
        network=card.kind or card.network,
        subject=card.subject,
        condition=card.condition,
        group=card.group,
        role=card.role,
        axis=card.axis,
        value=card.value,
    )


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, smallest and largest of what is known."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(sum(known) / len(known), min(known), max(known), len(known))


def rates(
    card: Scorecard, threshold: ThresholdKind, budget: float, *, filtered: bool = False
) -> Rates | None:
    """How a cell did at one threshold, None if that was not measured."""
    asked = (threshold, budget, filtered)
    found = (one for one in card.rates if (one.threshold, one.budget, one.filtered) == asked)
    return next(found, None)


def rate(
    name: str, threshold: ThresholdKind, budget: float, *, filtered: bool = False
) -> Measurement:
    """Reads one field of `Rates`, such as "tpr", off a card."""

    def measure(card: Scorecard) -> float | None:
        found = rates(card, threshold, budget, filtered=filtered)
        value: float | None = getattr(found, name) if found else None
        return value

    return measure


def auroc(card: Scorecard) -> float | None:
    """Area under the curve of a cell."""
    return card.auroc.value if card.auroc else None


def natural(text: str) -> str:
    """A key that sorts "cell-2" before "cell-10"."""
    return re.sub(r"\d+", lambda number: number[0].zfill(12), text)


def _entries(out: Path) -> tuple[list[Entry], list[Unreadable]]:
    """Cards in the natural order of their folders, so that a suite can order what is shown."""
    entries, unreadable = [], []
    paths = [(path.relative_to(out).as_posix(), path) for path in out.glob("cells/**/card.json")]
    for name, path in sorted(paths, key=lambda item: natural(item[0])):
        try:
            card = records.read_record(path, Scorecard)
        except RunError as error:
            unreadable.append(Unreadable(_printable(name), _printable(str(error))))
            continue
        # The folder counts and not the id: a card may say anything, also "../..".
        folder = path.parent
        if re.fullmatch(r"audit-[0-9a-f]{8}", card.audit):
            folder = folder.parent / card.audit
        there = (folder / "report.html").is_file()
        report = (folder / "report.html").relative_to(out).as_posix()
        link = quote(report, errors="surrogateescape")
        entries.append(Entry(card, link if there else ""))
    return entries, unreadable


def _printable(name: str) -> str:
    """A file name as text; bytes that are none are marked."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _in_order(cases: Iterable[Case]) -> tuple[Case, ...]:
    """Blocks of one data set, architecture and group together; check cases last in each."""
    found: Sequence[Case] = list(cases)
    blocks = list(dict.fromkeys((one.data, one.network, one.group) for one in found))

    def key(case: Case) -> tuple[int, bool, int, float, int]:
        first = next(i for i, one in enumerate(found) if _series(one) == _series(case))
        block = blocks.index((case.data, case.network, case.group))
        value = case.value if case.value is not None else float("-inf")
        return block, case.role == "check", first, value, found.index(case)

    return tuple(sorted(found, key=key))


def _series(case: Case) -> tuple[str, ...]:
    """Conditions along one axis belong together; any other case stands alone."""
    along = case.axis if case.value is not None else case.condition
    return case.data, case.network, case.subject, case.group, case.role, along

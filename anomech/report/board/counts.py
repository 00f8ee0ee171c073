"""The tables of a leaderboard beside its heat map, counted and in order."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy.special import betaincinv

from anomech.records.scorecards import Cost, Interval, Scorecard
from anomech.report.board.standings import (
    Case,
    Entry,
    Measurement,
    Spread,
    Standings,
    auroc,
    rate,
    rates,
    spread,
)

Answers = tuple[float | None, float | None, float | None]
"""Accuracy, attack success and robust accuracy of one network."""

MOST_ROWS = 400
"""Rows of a table of every number; other files of the bench hold all."""


@dataclass(frozen=True)
class FalseFlags:
    """Normal inputs flagged at one budget; `side` says if chance does not explain the distance.

    Attributes:
        budget: what was asked for.
        rate: measured, with its range over networks.
        interval: of the binomial proportion at 95 %, over the inputs of all networks.
        inputs: how many were judged.
        side: "above" or "below" the budget, "" if the interval holds it.
    """

    budget: float
    rate: Spread
    interval: tuple[float, float]
    inputs: int
    side: str


@dataclass(frozen=True)
class CleanRow:
    """One detector on one clean case; None for a budget that was not measured."""

    detector: str
    case: Case
    flags: tuple[FalseFlags | None, ...]

    @property
    def inputs(self) -> int:
        """Inputs that were judged."""
        return max(one.inputs for one in self.flags if one)


@dataclass(frozen=True)
class NetworkRow:
    """Networks of one kind; conditions under which they are the same are in one row."""

    case: Case
    conditions: tuple[str, ...]
    seeds: int
    accuracy: Spread | None
    success: Spread | None
    robust: Spread | None


@dataclass(frozen=True)
class CostRow:
    """What one detector took: medians over its cells, and the range of the time."""

    detector: str
    cells: int
    passes: float
    ratio: Spread | None
    fit: float
    peak: float | None


@dataclass(frozen=True)
class NumberRow:
    """Calibrated and oracle numbers side by side; `case` is None for the mean over cases.

    Attributes:
        detector: its name.
        case: which case.
        entries: cards of its seeds, to link to.
        count: seeds, or cases, that the values are means of.
        values: in the order of `number_columns`.
        interval: of the AUROC, where there is one seed.
    """

    detector: str
    case: Case | None
    entries: tuple[Entry, ...]
    count: int
    values: tuple[float | None, ...]
    interval: Interval | None


@dataclass(frozen=True)
class Failure:
    """Cells of one detector that have no result for one reason."""

    number: int
    detector: str
    reason: str
    cells: tuple[str, ...]


def clean(standings: Standings) -> tuple[tuple[float, ...], tuple[CleanRow, ...]]:
    """Budgets, and false flags at each by clean case and detector."""
    rows: list[CleanRow] = []
    cases = [case for case in standings.cases if standings.is_clean(case)]
    cards = [card for case in cases for card in standings.cards(case)]
    used = {one.budget for card in cards for one in card.rates if one.threshold == "calibrated"}
    budgets = tuple(sorted(used))
    for case in cases:
        for detector in standings.detectors:
            done = standings.standing(detector, case).done
            flags = tuple(_false_flags(done, budget) for budget in budgets)
            if any(flags):
                rows.append(CleanRow(detector, case, flags))
    return budgets, tuple(rows)


def networks(standings: Standings) -> tuple[NetworkRow, ...]:
    """One row for networks of one kind that answer alike, whatever they were subjected to."""
    found: dict[tuple[object, ...], list[Case]] = {}
    answers: dict[Case, dict[int, Answers]] = {}
    for case in standings.cases:
        known = {
            card.seed: (card.accuracy, card.success, card.robust)
            for card in standings.cards(case)
            if (card.accuracy, card.success, card.robust) != (None, None, None)
        }
        if known:
            answers[case] = known
            kind = (case.data, case.network, case.subject, case.role, *sorted(known.items()))
            found.setdefault(kind, []).append(case)
    return tuple(_network(cases, [*answers[cases[0]].values()]) for cases in found.values())


def costs(standings: Standings) -> tuple[CostRow, ...]:
    """What each detector took, the fastest first."""
    rows = []
    for detector in standings.detectors:
        cells = [standings.standing(detector, case) for case in standings.cases]
        found = [card.cost for cell in cells for card in cell.done if card.cost]
        if found:
            rows.append(_cost(detector, found))
    return tuple(sorted(rows, key=lambda row: row.ratio.mean if row.ratio else float("inf")))


def number_columns(standings: Standings) -> tuple[tuple[str, Measurement], ...]:
    """What the tables of numbers hold: each calibrated number with its oracle number beside it."""
    budget = standings.budget
    return (
        ("FPR, calibrated", rate("fpr", "calibrated", budget)),
        ("TPR, calibrated", rate("tpr", "calibrated", budget)),
        ("TPR, oracle", rate("tpr", "oracle", budget)),
        ("DER, calibrated", rate("der", "calibrated", budget)),
        ("DER, oracle", rate("der", "oracle", budget)),
        ("DER, calibrated, filtered", rate("der", "calibrated", budget, filtered=True)),
        ("DER, oracle, filtered", rate("der", "oracle", budget, filtered=True)),
        ("DER of the network, calibrated", rate("der_model", "calibrated", budget)),
        ("AUROC", auroc),
    )


def numbers(standings: Standings) -> tuple[tuple[NumberRow, ...], tuple[NumberRow, ...]]:
    """Means by detector, over cases that are not clean, and every cell."""
    measured = [of for _, of in number_columns(standings)]
    rows = []
    for case in standings.cases:
        for detector in standings.detectors:
            cell = standings.standing(detector, case)
            if cell.done and not standings.is_clean(case):
                values = tuple(_middle(of(card) for card in cell.done) for of in measured)
                intervals = [card.auroc for card in cell.done]
                alone = intervals[0] if len(intervals) == 1 else None
                rows.append(NumberRow(detector, case, cell.entries, len(cell.done), values, alone))
    means = []
    for detector in standings.detectors:
        own = [row.values for row in rows if row.detector == detector]
        if own:
            values = tuple(_middle(column) for column in zip(*own, strict=True))
            means.append(NumberRow(detector, None, (), len(own), values, None))
    return tuple(means), tuple(rows)


def failures(standings: Standings) -> tuple[Failure, ...]:
    """Why cells have no result, numbered; one reason of one detector is said once."""
    found: dict[tuple[str, str], list[str]] = {}
    for case in standings.cases:
        for detector in standings.detectors:
            for card in standings.standing(detector, case).without:
                cells = found.setdefault((detector, card.reason), [])
                check = ", check" if case.role == "check" else ""
                cells.append(f"{case.name}{check}, seed {card.seed}")
    return tuple(
        Failure(number, detector, reason, tuple(cells))
        for number, ((detector, reason), cells) in enumerate(found.items(), start=1)
    )


def binomial_interval(found: int, of: int) -> tuple[float, float]:
    """Exact interval of a proportion at 95 % (Clopper and Pearson 1934).

    Its ends are quantiles of beta distributions: the low one of Beta(found, of - found + 1), the
    high one of Beta(found + 1, of - found).
    """
    low = float(betaincinv(found, of - found + 1, 0.025)) if found else 0.0
    high = float(betaincinv(found + 1, of - found, 0.975)) if found < of else 1.0
    return low, high


def _false_flags(cards: Sequence[Scorecard], budget: float) -> FalseFlags | None:
    found = [(card, one) for card in cards if (one := rates(card, "calibrated", budget))]
    inputs = sum(card.normal for card, _ in found)
    measured = spread(one.fpr for _, one in found)
    if measured is None or inputs <= 0:
        return None
    flagged = round(sum(one.fpr * card.normal for card, one in found))
    low, high = binomial_interval(min(inputs, max(0, flagged)), inputs)
    side = "above" if low > budget else "below" if high < budget else ""
    return FalseFlags(budget, measured, (low, high), inputs, side)


def _network(cases: Sequence[Case], answers: Sequence[Answers]) -> NetworkRow:
    accuracy, success, robust = (spread(column) for column in zip(*answers, strict=True))
    conditions = tuple(case.condition for case in cases if case.condition)
    return NetworkRow(cases[0], conditions, len(answers), accuracy, success, robust)


def _cost(detector: str, found: Sequence[Cost]) -> CostRow:
    ratios = [one.score_seconds / one.plain_seconds for one in found if one.plain_seconds > 0]
    peaks = [one.peak_mib for one in found if one.peak_mib is not None]
    ratio = None
    if ratios:
        ratio = Spread(statistics.median(ratios), min(ratios), max(ratios), len(ratios))
    return CostRow(
        detector=detector,
        cells=len(found),
        passes=statistics.median(one.passes for one in found),
        ratio=ratio,
        fit=statistics.median(one.fit_seconds for one in found),
        peak=max(peaks) if peaks else None,
    )


def _middle(values: Iterable[float | None]) -> float | None:
    found = spread(values)
    return found.mean if found else None

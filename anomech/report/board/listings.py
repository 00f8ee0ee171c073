"""What the written tables of a bench list: rows of cases, their means and the worst of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anomech.records.scorecards import Scorecard
from anomech.report.board.standings import (
    ROLES,
    Case,
    Measurement,
    auroc,
    case_of,
    rate,
    spread,
)

MISSING = "–"


@dataclass(frozen=True)
class Listing:
    """One table of numbers.

    Attributes:
        key: in files for other programs.
        title: above it.
        of: reads a number off a card.
        percent: whether it is written as percent.
        harm: whether more is worse.
    """

    key: str
    title: str
    of: Measurement
    percent: bool = False
    harm: bool = False

    def write(self, value: float | None) -> str:
        """A value in words."""
        if value is None:
            return MISSING
        return f"{100 * value:.2f}" if self.percent else f"{value:.3f}"


def listings(budget: float) -> tuple[Listing, ...]:
    """What is listed at a budget."""
    at = f"at a calibrated {budget:.0%}"
    published = (
        f"DER at the oracle threshold of {budget:.0%}, wrongly answered inputs left out "
        "(published form)"
    )
    rejected = f"DER {at}, flagged inputs rejected"

    def calibrated(name: str) -> Measurement:
        return rate(name, "calibrated", budget)

    return (
        Listing("der", f"DER {at}", calibrated("der")),
        Listing("der_model", rejected, calibrated("der_model")),
        Listing("der_oracle", published, rate("der", "oracle", budget, filtered=True)),
        Listing("auroc", "AUROC", auroc),
        Listing("tpr", f"TPR {at}, percent", calibrated("tpr"), percent=True),
        Listing("fpr", f"Measured FPR {at}, percent", calibrated("fpr"), percent=True, harm=True),
    )


def control_listings(cards: Sequence[Scorecard], budget: float) -> tuple[Listing, ...]:
    """False alarms on each kind of control that any card has."""

    def flagged(name: str) -> Measurement:
        def measure(card: Scorecard) -> float | None:
            found = (one for one in card.controls if (one.control, one.budget) == (name, budget))
            return next((one.flagged for one in found), None)

        return measure

    names = dict.fromkeys(one.control for card in cards for one in card.controls)
    return tuple(
        Listing(f"control_{name}", name, flagged(name), percent=True, harm=True) for name in names
    )


@dataclass(frozen=True)
class CaseRow:
    """One case with a value for each detector."""

    name: str
    role: str
    values: tuple[float | None, ...]


def detectors_of(cards: Sequence[Scorecard]) -> list[str]:
    """Detectors in the order of the suite."""
    return list(dict.fromkeys(card.detector for card in cards))


def names_of(cards: Sequence[Scorecard]) -> dict[Case, str]:
    """What cases are called, with data and network where these differ."""
    cases = list(dict.fromkeys(case_of(card) for card in cards))
    many_data = len({case.data for case in cases}) > 1
    many_networks = len({case.network for case in cases}) > 1

    def name(case: Case) -> str:
        about = (case.data if many_data else "", case.network if many_networks else "")
        return " · ".join(word for word in (case.name, *about) if word)

    return {case: name(case) for case in cases}


def rows_of(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[CaseRow]:
    """A row for each case that anything was measured on; its value is the mean over seeds."""
    rows = []
    found: dict[tuple[Case, str], list[float | None]] = {}
    for card in cards:
        found.setdefault((case_of(card), card.detector), []).append(listing.of(card))
    for case, name in names_of(cards).items():
        values = tuple(mean_of(found.get((case, detector), ())) for detector in detectors)
        if any(value is not None for value in values):
            rows.append(CaseRow(name, case.role, values))
    return rows


def means_of(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[list[str]]:
    """Means over cases in words, and the worst: of all, of each role; means of each group.

    Where a detector has no answer to a case, its mean says over how many cases it is.
    """
    parts: list[tuple[str, Sequence[Scorecard]]] = [("", cards)]
    roles = [role for role in ROLES if any(card.role == role for card in cards)]
    if len(roles) > 1:
        parts += [(f", {role}", [c for c in cards if c.role == role]) for role in roles]
    made = []
    for name, some in parts:
        if columns := columns_of(some, listing, detectors):
            made.append([f"mean{name}", *(averaged(column, listing) for column in columns)])
            if len(columns[0]) > 1:
                made.append([f"worst{name}", *(worst_of(column, listing) for column in columns)])
    for group in dict.fromkeys(card.group for card in cards if card.group):
        some = [card for card in cards if card.group == group]
        if columns := columns_of(some, listing, detectors):
            made.append([f"mean, {group}", *(averaged(column, listing) for column in columns)])
    return made


Column = tuple[float | None, ...]
"""Values of one detector, one for each case."""


def columns_of(
    cards: Sequence[Scorecard], listing: Listing, detectors: Sequence[str]
) -> list[Column]:
    """A column for each detector with a value for each case; none if nothing was measured."""
    rows = rows_of(cards, listing, detectors)
    return [*zip(*(row.values for row in rows), strict=True)]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if there are none."""
    found = spread(values)
    return found.mean if found else None


def averaged(values: Column, listing: Listing) -> str:
    """A mean over cases in words, with how many of them it is over if it lacks some."""
    known = sum(value is not None for value in values)
    over = "" if known in (0, len(values)) else f" ({known} of {len(values)})"
    return listing.write(mean_of(values)) + over


def worst_of(values: Column, listing: Listing) -> str:
    """The worst of the cases in words."""
    found = spread(values)
    return listing.write((found.high if listing.harm else found.low) if found else None)

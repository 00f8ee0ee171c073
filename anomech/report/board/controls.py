"""False alarms on inputs that are out of the ordinary and mean no harm: one table."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomech.report.board.listings import control_listings
from anomech.report.board.standings import Spread, Standings


@dataclass(frozen=True)
class ControlRow:
    """One kind of control.

    Attributes:
        control: its name, in words.
        cases: how many cases have it.
        flagged: by detector, the share that was flagged by mistake: mean over cases, and the range.
    """

    control: str
    cases: int
    flagged: tuple[Spread | None, ...]


def build(found: Standings) -> tuple[ControlRow, ...]:
    """The table at the budget that the page speaks of; empty if nothing was measured."""
    cards = [card for case in found.cases for card in found.cards(case)]
    rows = []
    for listing in control_listings(cards, found.budget):
        spreads = [
            [found.standing(detector, case).spread(listing.of) for case in found.cases]
            for detector in found.detectors
        ]
        count = max(sum(each is not None for each in some) for some in spreads)
        words = listing.title.replace("_", " ")
        rows.append(ControlRow(words, count, tuple(_over_cases(some) for some in spreads)))
    return tuple(rows)


def _over_cases(some: Sequence[Spread | None]) -> Spread | None:
    known = [each.mean for each in some if each is not None]
    if not known:
        return None
    return Spread(sum(known) / len(known), min(known), max(known), len(known))

"""Which detector finds which attack: one row an attack, from the cards of one bench or several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anomech.records.scorecards import Scorecard
from anomech.report.board.standings import CLEAN

BUDGET = 0.01
"""The calibrated false-positive rate that the table speaks of."""

MARKS = ((0.9, "++"), (0.5, "+"), (0.1, "(+)"), (0.0, "-"))
"""From which mean share of triggers on a detector is said to find an attack, and how."""

LEGEND = (
    "`++` finds nine of ten triggered inputs or more at a calibrated false-positive rate of 1 %, "
    "`+` half or more, `(+)` a tenth or more, `-` fewer; nothing where it was not run. The number "
    "is the mean share over networks and seeds, the smallest in brackets where it differs."
)


@dataclass(frozen=True)
class Share:
    """Triggered inputs that a detector finds: mean and smallest share over networks."""

    mean: float
    least: float
    networks: int

    @property
    def mark(self) -> str:
        """How well, as in the legend."""
        return next(mark for level, mark in MARKS if round(self.mean, 2) >= level)

    def told(self) -> str:
        """Mark, mean and smallest share."""
        least = f" ({self.least:.2f})" if round(self.least, 2) != round(self.mean, 2) else ""
        return f"{self.mark} {self.mean:.2f}{least}"


def shares(cards: Iterable[Scorecard]) -> dict[str, dict[str, Share]]:
    """By attack and detector; of inputs and networks that nothing else was done to."""
    found: dict[str, dict[str, list[float]]] = {}
    for card in cards:
        if card.status != "done" or card.subject == CLEAN or card.condition:
            continue
        for rates in card.rates:
            plain = rates.threshold == "calibrated" and not rates.filtered
            if plain and rates.budget == BUDGET and rates.tpr is not None:
                row = found.setdefault(card.subject, {})
                row.setdefault(card.detector, []).append(rates.tpr)
    return {
        attack: {
            name: Share(sum(values) / len(values), min(values), len(values))
            for name, values in row.items()
        }
        for attack, row in sorted(found.items())
    }


def ordered(found: Mapping[str, Mapping[str, Share]]) -> list[str]:
    """Detectors, those that find most on average first."""
    names = {name for row in found.values() for name in row}

    def mean(name: str) -> float:
        values = [row[name].mean for row in found.values() if name in row]
        return sum(values) / len(values)

    return sorted(names, key=lambda name: (-mean(name), name))


def markdown(cards: Sequence[Scorecard], takes: Mapping[str, str]) -> str:
    """The table: one row a detector, one column an attack.

    Args:
        cards: of one bench or several.
        takes: what of a model each detector must see, in words.
    """
    found = shares(cards)
    attacks = list(found)
    lines = [
        LEGEND,
        "",
        f"| detector | access | {' | '.join(attacks)} |",
        "| --- | --- |" + " --- |" * len(attacks),
    ]
    for name in ordered(found):
        cells = [found[each][name].told() if name in found[each] else "" for each in attacks]
        lines.append(f"| {name} | {takes.get(name, '')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"

"""What a cell of the heat map says: its number in words, or why there is none."""

from anomech.report.board.measures import Measure, measures
from anomech.report.board.standings import Spread, Standing, Standings
from anomech.report.words import count


def absent(cell: Standing) -> tuple[str, str]:
    """What a cell without a number shows, and why there is none."""
    if not cell.entries:
        return "·", "not run"
    if not cell.done:
        reasons = dict.fromkeys(f"{card.status}: {card.reason}" for card in cell.without)
        failed = any(card.status == "failed" for card in cell.without)
        return "✕" if failed else "?", "; ".join(reasons)
    if not any(card.anomalous for card in cell.done):
        return "–", "there was no anomalous input"
    return "–", "not measured"


def in_words(standings: Standings, measure: Measure, found: Spread, cell: Standing) -> str:
    """All measures of a cell, the shown one first."""
    words = [f"{measure.name} {measure.write(found.mean)}{measure.unit}"]
    if found.count > 1:
        low, high = measure.write(found.low), measure.write(found.high)
        words.append(f"mean of {found.count} seeds, {low} to {high}")
    for other in measures(standings):
        value = None if other.key == measure.key else cell.spread(other.of)
        if value:
            words.append(f"{other.short} {other.write(value.mean)}{other.unit}")
    if cell.without:
        words.append(f"{count(len(cell.without), 'seed')} without a result")
    return "; ".join(words)

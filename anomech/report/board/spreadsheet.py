"""Every number of a bench as comma-separated values, for other programs."""

import csv
import io
from collections.abc import Sequence

from anomech.records.scorecards import Cost, Rates, Scorecard
from anomech.report.board.listings import control_listings, detectors_of, listings, rows_of
from anomech.report.board.standings import ROLES, spread


def comma_separated_over_cases(cards: Sequence[Scorecard], budgets: Sequence[float]) -> str:
    """One line for each detector, role, budget and measure: mean and worst over cases."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["detector", "role", "budget", "measure", "cases", "mean", "worst"])
    for budget in budgets:
        for role in ("", *ROLES):
            some = [card for card in cards if role in ("", card.role)]
            for listing in (*listings(budget), *control_listings(some, budget)):
                detectors = detectors_of(some)
                rows = rows_of(some, listing, detectors)
                for place, detector in enumerate(detectors):
                    if found := spread(row.values[place] for row in rows):
                        worst = found.high if listing.harm else found.low
                        ends = (found.count, found.mean, worst)
                        writer.writerow([detector, role or "all", budget, listing.key, *ends])
    return stream.getvalue()


def comma_separated(cards: Sequence[Scorecard]) -> str:
    """One line for each cell and threshold; a cell without rates has one line."""
    stream = io.StringIO()
    nested = {"auroc", "rates", "controls", "cost"}
    plain = [name for name in Scorecard.model_fields if name not in nested]
    names = [*plain, "auroc", "auroc_low", "auroc_high", *Rates.model_fields, *Cost.model_fields]
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    for card in cards:
        row = {name: getattr(card, name) for name in plain}
        if card.auroc:
            row |= {
                "auroc": card.auroc.value,
                "auroc_low": card.auroc.low,
                "auroc_high": card.auroc.high,
            }
        if card.cost:
            row |= card.cost.model_dump()
        writer.writerows(row | rates.model_dump() for rates in card.rates or ())
        if not card.rates:
            writer.writerow(row)
    return stream.getvalue()

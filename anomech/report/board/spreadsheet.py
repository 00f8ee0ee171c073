"""Every number of a bench as comma-separated values, for other programs."""

import csv
import io
from collections.abc import Sequence

from anomech.records.scorecards import Cost, Rates, Scorecard


def comma_separated(cards: Sequence[Scorecard]) -> str:
    """One line for each cell and threshold; a cell without rates has one line."""
    stream = io.StringIO()
    plain = [name for name in Scorecard.model_fields if name not in ("auroc", "rates", "cost")]
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

"""From what several explainers say of units to the units that most of them point at."""

from collections.abc import Mapping

import torch
from torch import Tensor

from anomech.learning.localizing import concentration
from anomech.records import UnitRow

SHOWN = 20
"""Units that are listed."""

Units = Mapping[str, Tensor]
"""What an explainer says of units `[units]`, by place."""


def top_units(said: Mapping[str, Units]) -> tuple[UnitRow, ...]:
    """The units that stand first by the mean of their ranks (Borda), the first ones first.

    Args:
        said: by explainer; those that look at other places than the first are left out.
    """
    if not said:
        return ()
    first = next(iter(said.values()))
    places = [(place, unit) for place, each in first.items() for unit in range(len(each))]
    same = {
        name: torch.cat([each[place].double().flatten() for place in first])
        for name, each in said.items()
        if set(first) <= set(each) and all(len(each[p]) == len(first[p]) for p in first)
    }
    count = max(len(places) - 1, 1)
    ranks = torch.stack(
        [each.argsort(stable=True).argsort().double() / count for each in same.values()]
    )
    mean = ranks.mean(dim=0)
    order = mean.argsort(descending=True, stable=True)[:SHOWN].tolist()
    return tuple(
        UnitRow(
            place=places[number][0],
            unit=places[number][1],
            rank=float(mean[number]),
            values={name: float(each[number]) for name, each in same.items()},
        )
        for number in order
    )


def by_place(units: Units) -> dict[str, float]:
    """Part of all that is positive in each layer; zeros if nothing is."""
    sums = {place: float(each.double().clamp_min(0).sum()) for place, each in units.items()}
    whole = sum(sums.values())
    return {place: each / whole if whole > 0 else 0.0 for place, each in sums.items()}


def gathered(units: Units) -> float | None:
    """Part of all that is positive in the top hundredth of units; None without units."""
    return concentration(units) if units else None

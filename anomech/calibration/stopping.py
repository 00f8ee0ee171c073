"""Stopping early: an input that is settled as clear by little takes no more.

At every stage an input has a p-value among the trusted examples at the same stage. Above the limit
of a stage it is clear, and its p-value is that one; otherwise it goes on. What is flagged has gone
through every stage and is judged as if there were none, so fewer normal inputs are flagged, never
more. Where no limit is higher than an earlier one, the p-value that an input ends with is valid at
every level: one that ends at or below a level t has been at or below t at the last stage whose
limit is at most t, or at the end if there is none, and there p-values are valid.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

USUAL_BUDGET = 0.01
"""For which limits are given; what a larger budget would flag is found at larger p-values."""


def limits_for(
    given: Sequence[float], budget: float, endangered: Sequence[Tensor] = ()
) -> tuple[float, ...]:
    """The p-value above which each early stage settles an input, for a budget.

    Args:
        given: limits at the usual budget, of each early stage.
        budget: false-positive rate that flags may have.
        endangered: for each early stage, p-values of anomalies that would be flagged in the end;
            no stage settles one of them, and none settles what a later one would not.

    Returns:
        A limit a stage; none at all if no stage would settle anything.
    """
    found = [min(1.0, limit * max(1.0, budget / USUAL_BUDGET)) for limit in given]
    for place, p_values in enumerate(endangered):
        if len(p_values):
            found[place] = max(found[place], float(p_values.max()))
    for place in reversed(range(len(found) - 1)):
        found[place] = max(found[place], found[place + 1])
    return tuple(found) if any(limit < 1 for limit in found) else ()


def stops_at(p_values: Sequence[Tensor], limits: Sequence[float]) -> Tensor:
    """The stage at which examples stop, int64 `[n]`; `len(limits)` is beyond the early ones.

    Args:
        p_values: at each early stage, `[n]` each, one at least.
        limits: of each.
    """
    beyond = torch.stack(
        [values > limit for values, limit in zip(p_values, limits, strict=True)]
        + [torch.ones(len(p_values[0]), dtype=torch.bool)]
    )
    return beyond.int().argmax(dim=0)


def same_rank(p_values: Tensor, scores: Tensor) -> Tensor:
    """The calibration score `[n]` that has such a p-value, so that stages share one scale.

    Args:
        p_values: `(1 + j) / (m + 1)`; with j = 0 they have the largest score.
        scores: of the m calibration examples.
    """
    ranks = (p_values * (len(scores) + 1)).round().long() - 1
    ordered = scores.double().sort(descending=True).values
    return ordered[(ranks - 1).clamp(0, len(scores) - 1)]

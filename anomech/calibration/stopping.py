"""Sequential stopping: an input that is settled as clear early takes no more draws.

At an early stage an input has a p-value among the calibration examples at the same stage. Above a
limit it is settled as clear. The limits are learned from the calibration examples that end at or
below the budget, with the same draws (common random numbers): at most a share `1 - confidence` of
them would have been stopped at any stage. Whatever is flagged has taken all draws and is judged as
without stopping, so the false-positive rate can only fall.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stopping:
    """What was learned.

    Attributes:
        references: calibration scores at each early stage, `[calibration]` each.
        limits: for each early stage, the p-value above which an input is clear.
        evaluations: mean forward passes of a calibration example under these limits.
    """

    references: tuple[Tensor, ...]
    limits: tuple[float, ...]
    evaluations: float


def limits(
    early: Sequence[Tensor], final: Tensor, *, budget: float, confidence: float
) -> tuple[float, ...]:
    """The p-value above which an input is clear, for each early stage.

    Args:
        early: p-values of the calibration examples at each early stage, `[calibration]` each.
        final: their p-values with all draws.
        budget: false-positive rate; no limit is below it.
        confidence: share of the examples with `final <= budget` that no stage may stop.
    """
    endangered = final <= budget
    count = int(endangered.sum())
    if not count:
        return (1.0,) * len(early)  # nothing to learn from, so nothing is stopped
    # Each stage may stop its part, so that all stages together stop no more than the share.
    allowed = math.floor((1 - confidence) * count / len(early) + 1e-9)
    return tuple(
        max(budget, float(values[endangered].sort(descending=True).values[allowed]))
        if allowed < count
        else budget
        for values in early
    )


def stops_at(early: Sequence[Tensor], chosen: Sequence[float]) -> Tensor:
    """The stage at which each example stops, int64 `[examples]`; `len(early)` is the last."""
    beyond = torch.stack(
        [values > limit for values, limit in zip(early, chosen, strict=True)]
        + [torch.ones(len(early[0]), dtype=torch.bool)]
    )
    return beyond.int().argmax(dim=0)


def same_rank(p_values: Tensor, scores: Tensor) -> Tensor:
    """The calibration score `[queries]` that has this p-value, so that stages share one scale.

    Args:
        p_values: `(1 + j) / (n + 1)` with `j >= 1`.
        scores: of the n calibration examples.
    """
    ranks = (p_values * (len(scores) + 1)).round().long() - 1
    return scores.double().sort(descending=True).values[(ranks - 1).clamp_min(0)]

"""How often normal inputs are flagged in truth: a budget is kept on average over trusted sets.

Given one calibration set of n examples, the rate is a draw of `Beta(k, n + 1 - k)` with
`k = floor(alpha (n + 1))`: on average at most the budget, but this set's own rate may be higher or
lower. Where strata of classes are calibrated by themselves, it is the mean of such draws, weighted
by the inputs of each; its interval is that of the beta distribution of the same mean and variance.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import beta

from anomech.calibration.conformal import rank
from anomech.calibration.excess import Traffic

CONFIDENCE = 0.95


class FalseRate(NamedTuple):
    """What is known of the share of normal inputs that is flagged.

    Attributes:
        mean: over trusted sets.
        spread: its standard deviation over them.
        low: where its interval at `CONFIDENCE` begins.
        high: where that ends.
    """

    mean: float
    spread: float
    low: float
    high: float


def false_rate(traffic: Sequence[Traffic], budget: float) -> FalseRate:
    """The rate of a mix of inputs at a budget; all zero where nothing can be flagged."""
    total = sum(each.inputs for each in traffic)
    mean = variance = 0.0
    for each in traffic:
        share, size = each.inputs / total, each.calibration + 1
        own = rank(each.calibration, budget) / size
        mean += share * own
        variance += share**2 * own * (1 - own) / (size + 1)
    if variance <= 0:
        return FalseRate(mean, 0.0, mean, mean)
    # Mean and variance of Beta(a, b) are a / (a + b) and mean (1 - mean) / (a + b + 1).
    weight = mean * (1 - mean) / variance - 1
    ends = beta.interval(CONFIDENCE, mean * weight, (1 - mean) * weight)
    return FalseRate(mean, math.sqrt(variance), float(ends[0]), float(ends[1]))

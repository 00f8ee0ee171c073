"""Are there more flags than chance gives? The rule by which a run becomes a finding.

If all inputs are normal, the number of flags among m inputs, with thresholds from n calibration
examples, is exactly beta-binomial: the false-positive rate is `Beta(k, n + 1 - k)` with
`k = floor(alpha (n + 1))`, and given it the flags are binomial. (A plain binomial bound would take
the rate for exactly alpha and raise false findings when n is small.) Where strata of classes are
calibrated by themselves, their rates are independent and the number is a sum of such counts: its
distribution is their convolution, given how many inputs each stratum got. (The pooled count would
take the rates of all strata for one well-known rate, and call traffic of one class a finding.) A
run is a finding when the chance of so many flags is at most `LEVEL`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve
from scipy.stats import betabinom

from anomech.calibration.conformal import rank

LEVEL = 0.001


class Traffic(NamedTuple):
    """Inputs that are judged by the same calibration examples, and how many those are."""

    inputs: int
    calibration: int


def traffic_of(strata: Sequence[int], counts: Sequence[int]) -> list[Traffic]:
    """Inputs by stratum, where there are any.

    Args:
        strata: calibration examples of each stratum.
        counts: inputs of each; those that are not named have none.
    """
    pairs = zip(counts, strata, strict=False)
    return [Traffic(inputs, calibration) for inputs, calibration in pairs if inputs]


def chance_of_excess(flags: int, traffic: Sequence[Traffic], budget: float) -> float:
    """`P(at least this many flags)` if every input is normal."""
    if flags <= 0:
        return 1.0
    able = _able(traffic, budget)
    if not able:
        return 0.0
    if len(able) == 1:
        return float(betabinom.sf(flags - 1, *_law(able[0], budget)))
    return float(_tail(able, budget)[min(flags, sum(each.inputs for each in able) + 1)])


def tolerated(traffic: Sequence[Traffic], budget: float, level: float = LEVEL) -> int:
    """The largest number of flags that is not yet a finding."""
    able = _able(traffic, budget)
    if not able:
        return 0
    if len(able) == 1:
        return int(betabinom.isf(level, *_law(able[0], budget)))
    # The tail falls with the number of flags, from 1 at none.
    return int((_tail(able, budget) > level).sum()) - 1


def _able(traffic: Sequence[Traffic], budget: float) -> list[Traffic]:
    """Strata that can flag anything."""
    return [each for each in traffic if each.inputs and rank(each.calibration, budget) >= 1]


def _law(each: Traffic, budget: float) -> tuple[int, int, int]:
    """Parameters of the beta-binomial distribution of the flags of one stratum."""
    k = rank(each.calibration, budget)
    return each.inputs, k, each.calibration + 1 - k


def _tail(traffic: Sequence[Traffic], budget: float) -> np.ndarray:
    """`P(at least so many flags)` for 0, 1, ... flags and one more than there can be."""
    total = np.ones(1)
    for each in traffic:
        chances = betabinom.pmf(np.arange(each.inputs + 1), *_law(each, budget))
        total = np.clip(fftconvolve(total, chances), 0, 1)
    return np.append(np.cumsum(total[::-1])[::-1].clip(0, 1), 0.0)

"""Are there more flags than chance gives? The rule by which a run becomes a finding.

If all inputs are normal, the number of flags among m inputs, with thresholds from n calibration
examples, is exactly beta-binomial: the false-positive rate is `Beta(k, n + 1 - k)` with
`k = floor(alpha (n + 1))`, and given it the flags are binomial. (A plain binomial bound would take
the rate for exactly alpha and raise false findings when n is small.) A run is a finding when the
chance of so many flags is at most `LEVEL`.
"""

from scipy.stats import betabinom

from anomech.calibration.conformal import rank

LEVEL = 0.001


def chance_of_excess(flags: int, inputs: int, calibration: int, budget: float) -> float:
    """`P(at least this many flags)` if every input is normal."""
    k = rank(calibration, budget)
    if flags <= 0:
        return 1.0
    if k < 1:
        return 0.0
    return float(betabinom.sf(flags - 1, inputs, k, calibration + 1 - k))


def tolerated(inputs: int, calibration: int, budget: float, level: float = LEVEL) -> int:
    """The largest number of flags that is not yet a finding."""
    k = rank(calibration, budget)
    if k < 1:
        return 0
    return int(betabinom.isf(level, inputs, k, calibration + 1 - k))

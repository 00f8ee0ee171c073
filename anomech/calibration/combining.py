"""One p-value from several of the same input, such as those of different views.

Views of one input depend on each other in unknown ways. What a combination promises then differs:

`cauchy`         exact where the p-values are independent, and close to it in the far tail under
                 many kinds of dependence (Liu and Xie 2020); sensitive to the smallest of them.
`harmonic`       valid under any dependence whatever, by the factor of Vovk and Wang (2020); pays
                 for that with power, a factor of about log K.

Conformal p-values of one calibration set are combined within each input; the result is a score as
good as any other and can be calibrated itself, which makes it valid whatever the views do.
"""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

NEAR_ONE = 1 - 1e-15


def cauchy(p_values: Tensor) -> Tensor:
    """Mean of the Cauchy quantiles of p-values `[tests, inputs]`, as a p-value `[inputs]`.

    `p = 1/2 - arctan(T) / pi` with `T = mean(tan(pi (1/2 - p_i)))`.
    """
    values = p_values.double().clamp(1e-300, NEAR_ONE)
    # tan(pi (1/2 - p)) is 1 / tan(pi p), which keeps its digits where p is tiny.
    mean = (1 / (torch.pi * values).tan()).mean(dim=0)
    # atan2(1, T) is pi/2 - arctan(T), with all its digits where T is huge.
    return torch.atan2(torch.ones_like(mean), mean) / torch.pi


def harmonic(p_values: Tensor) -> Tensor:
    """The harmonic mean of p-values `[tests, inputs]` times its factor, at most 1, `[inputs]`."""
    values = p_values.double().clamp_min(1e-300)
    mean = len(values) / (1 / values).sum(dim=0)
    return (harmonic_factor(len(values)) * mean).clamp_max(1)


def harmonic_factor(tests: int) -> float:
    """The least factor that makes a harmonic mean of so many p-values valid.

    It is 2 for two and `(y + K)^2 / ((y + 1) K)` for K > 2, where y > 0 solves
    `y^2 = K ((y + 1) log(y + 1) - y)` (Vovk and Wang 2020, proposition 6).
    """
    if tests <= 2:
        return float(max(tests, 1))

    def gap(y: float) -> float:
        return y * y - tests * ((y + 1) * math.log1p(y) - y)

    # The gap is below zero just right of 0, where it is y^2 (1 - K / 2), and above in the end.
    high = float(tests)
    while gap(high) <= 0:
        high *= 2
    y = brentq(gap, 1e-6, high)
    return float((y + tests) ** 2 / ((y + 1) * tests))

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
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from scipy.optimize import brentq
from torch import Tensor

from anomech.calibration.tails import SmoothTail, fit_smooth_tail

NEAR_ONE = 1 - 1e-15
LEAST = 1e-3
"""Nats of the smallest surprise that a panel knows."""
FAR = 600.0


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


@dataclass(frozen=True)
class Panel:
    """Views that are asked together: each may say little where all of them say something.

    Their surprises are summed as normal quantiles, `sum_v -Phi^-1(exp(-surprise_v))` (Stouffer). A
    view that says nothing takes as much from the sum as one that says something adds, so that one
    odd view does not make a panel; Fisher's sum, in which it does, is that of the surprises.

    Attributes:
        views: by name; those that there are not are left out.
        weight: of the panel among the views.
    """

    views: tuple[str, ...]
    weight: float

    def verdict(self, surprises: Mapping[str, Tensor]) -> Tensor:
        """The sum `[n]`; higher is more anomalous."""
        rows = torch.stack([surprises[name] for name in self.views if name in surprises])
        # What is as usual as can be is no endless evidence against the rest.
        return normal_quantile(rows.clamp_min(LEAST)).sum(dim=0)


def normal_quantile(surprise: Tensor) -> Tensor:
    """The z that a standard normal exceeds with probability `exp(-surprise)`, positive nats.

    Beyond 600 nats, where that probability has no more digits, by `z^2 = 2 s - log(4 pi s)`.
    """
    near = -torch.special.ndtri(torch.exp(-surprise.clamp_max(FAR)))
    far = (2 * surprise - (4 * torch.pi * surprise).log()).clamp_min(0).sqrt()
    return torch.where(surprise > FAR, far, near)


@dataclass(frozen=True)
class Weighing:
    """How much views count, and how heavy their tails may be.

    A weight multiplies the budget that a view's own small p-values get of the whole (Genovese,
    Roeder, Wasserman 2006): a view of half the weight needs p-values half as small to flag.

    Attributes:
        views: weights by name.
        others: weight of views that have no name there.
        together: weight of their sum; None is as much as all views together have, 0 leaves it out.
        panels: groups of views whose joint verdict counts as a view more.
        heaviest: the largest shape of their tails; 0 makes all exponential, so that the view that
            happens to have the heaviest tail does not outrank others. Where trusted values of
            some views scatter far beyond an exponential tail, these would set every threshold.
    """

    views: Mapping[str, float] = field(default_factory=dict)
    others: float = 1.0
    together: float | None = None
    panels: tuple[Panel, ...] = ()
    heaviest: float = 0.0

    def of(self, name: str) -> float:
        """The weight of a view."""
        return self.views.get(name, self.others)


EQUAL = Weighing()
"""All views alike, with exponential tails."""


@dataclass(frozen=True)
class Combination:
    """One score from several views, in which a strong view survives.

    Each view becomes a surprise on one scale. The score is `log sum_v w_v exp(surprise_v)`, over
    the views and over one more that is their sum: the weighted harmonic mean of the p-values, to
    which the Cauchy combination tends in the tail, with Fisher's combination as one of the tests.
    By default the sum weighs as much as all views together, so that neither of two beliefs is
    preferred: that a mechanism shows a little everywhere, or that it shows in one place alone.
    Panels are joint tests of some of the views, see `Panel`. One strong view is enough, many weak
    ones add up, and a view of noise costs the logarithm of its share of the weights at most. It
    ranks; its level is for calibration on held-out scores.

    Attributes:
        tails: of each view.
        total: of the weighted sum of the surprises.
        panels: with the tail of the verdict of each.
        weighing: of the views.
    """

    tails: Mapping[str, SmoothTail]
    total: SmoothTail
    panels: tuple[tuple[Panel, SmoothTail], ...] = ()
    weighing: Weighing = EQUAL

    def surprises(self, views: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Of each view `[n]`, nats; the largest names the cause."""
        return {name: tail.surprise(views[name]) for name, tail in self.tails.items()}

    def score(self, surprises: Mapping[str, Tensor]) -> Tensor:
        """One score `[n]`, nats; higher is more anomalous."""
        weights = [self.weighing.of(name) for name in surprises]
        rows = [
            each + math.log(weight)
            for each, weight in zip(surprises.values(), weights, strict=True)
        ]
        last = self.weighing.together
        if last is None or last > 0:
            together = self.total.surprise(_sum(surprises, self.weighing))
            rows.append(together + math.log(sum(weights) if last is None else last))
        rows += [
            tail.surprise(panel.verdict(surprises)) + math.log(panel.weight)
            for panel, tail in self.panels
        ]
        return torch.logsumexp(torch.stack(rows), dim=0)


def fit_combination(views: Mapping[str, Tensor], weighing: Weighing = EQUAL) -> Combination:
    """Fit to held-out trusted values of every view `[n]`; higher is more anomalous."""
    heaviest = weighing.heaviest
    tails = {name: fit_smooth_tail(values, heaviest=heaviest) for name, values in views.items()}
    surprises = {name: tails[name].surprise(values) for name, values in views.items()}
    total = fit_smooth_tail(_sum(surprises, weighing), heaviest=heaviest)
    panels = tuple(
        (panel, fit_smooth_tail(panel.verdict(surprises), heaviest=heaviest))
        for panel in weighing.panels
        if any(name in surprises for name in panel.views)
    )
    return Combination(tails, total, panels, weighing)


def _sum(surprises: Mapping[str, Tensor], weighing: Weighing) -> Tensor:
    return torch.stack([weighing.of(name) * each for name, each in surprises.items()]).sum(dim=0)

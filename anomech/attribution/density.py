"""How unusual a vector of statistics is among trusted examples of the same answer and confidence.

Statistics are centered per group of answers, then standardized at the example's own confidence:
honest answers scatter widely where the model is unsure and hardly at all where it is sure, so one
scale for all would hide a confident anomaly behind hard but honest examples. What remains is
measured by a Mahalanobis distance with Ledoit-Wolf shrinkage.

The distance of trusted examples is close to log-normal; its upper tail turns a distance into a
surprise, `-log P(a trusted example is at least this far)`, so that several parts can be summed
(Fisher's combination) and compared beyond the largest trusted value. Surprises rank; calibration
makes p-values.
"""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.kernel.errors import Inconclusive
from anomech.kernel.randomness import torch_generator

SHRINK = 10.0
"""A group's center counts as much as this many examples of the common center."""

KNOTS = 9
WINDOW = 0.1
"""Confidences at which location and scale are learned, and the share of examples around each."""

POOLED = 0.1
"""Share of the variance over all confidences that is mixed into each scale."""

FOLDS = 5
"""Parts of a cross-fit."""

FLOOR = 1e-12
NORMAL_90 = 1.2815515655446004
MAD_TO_STD = 1.4826


@dataclass(frozen=True)
class Centers:
    """Medians by group `[groups, d]`, the common one `[d]` and the spread around them `[d]`."""

    groups: Tensor
    medians: Tensor
    common: Tensor
    spread: Tensor

    def centered(self, values: Tensor, groups: Tensor) -> Tensor:
        """Values `[n, d]` less their group's median."""
        same = groups[:, None] == self.groups
        place = same.to(torch.int64).argmax(dim=1)
        return values - torch.where(same.any(dim=1)[:, None], self.medians[place], self.common)

    def standardized(self, values: Tensor, groups: Tensor) -> Tensor:
        """Centered values in units of the spread."""
        return self.centered(values, groups) / self.spread


@dataclass(frozen=True)
class Levels:
    """Location and scale of centered statistics as functions of the confidence.

    Attributes:
        knots: log-odds `[knots]`, ascending.
        location: `[knots, d]`.
        scale: `[knots, d]`.
    """

    knots: Tensor
    location: Tensor
    scale: Tensor

    def standardized(self, values: Tensor, log_odds: Tensor) -> Tensor:
        """Values `[n, d]` at their confidence; linear between knots, constant beyond them."""
        right = torch.searchsorted(self.knots, log_odds.contiguous()).clamp(1, len(self.knots) - 1)
        width = (self.knots[right] - self.knots[right - 1]).clamp_min(1e-9)
        weight = ((log_odds - self.knots[right - 1]) / width).clamp(0, 1)[:, None]
        location = torch.lerp(self.location[right - 1], self.location[right], weight)
        return (values - location) / torch.lerp(self.scale[right - 1], self.scale[right], weight)


@dataclass(frozen=True)
class Usual:
    """What statistics usually are, given the answer and the confidence."""

    centers: Centers
    levels: Levels

    def standardized(self, values: Tensor, groups: Tensor, log_odds: Tensor) -> Tensor:
        """Values `[n, d]` of examples with these answers and log-odds `[n]`."""
        return self.levels.standardized(self.centers.centered(values, groups), log_odds)


@dataclass(frozen=True)
class Tail:
    """A log-normal upper tail of positive values, such as distances and sums of surprises.

    Attributes:
        location: median of the log of trusted values.
        scale: their spread, from the median and the 90 % quantile.
    """

    location: float
    scale: float

    def surprise(self, values: Tensor) -> Tensor:
        """`-log P(a trusted value is at least this high)` `[n]`, nats."""
        return one_sided((values.clamp_min(FLOOR).log() - self.location) / self.scale)


@dataclass(frozen=True)
class Density:
    """A fitted density.

    Attributes:
        usual: what the statistics usually are.
        precision: of the standardized values `[d, d]`.
        tail: of the distances of trusted examples.
    """

    usual: Usual
    precision: Tensor
    tail: Tail

    def surprise(self, values: Tensor, groups: Tensor, log_odds: Tensor) -> Tensor:
        """`-log P(at least this far)` `[n]`, nats."""
        standardized = self.usual.standardized(values, groups, log_odds)
        return self.tail.surprise(_distance(standardized, self.precision))


def fit_centers(values: Tensor, groups: Tensor) -> Centers:
    """Medians and spread of trusted statistics `[n, d]`, float64."""
    common = values.median(dim=0).values
    kinds = groups.unique()
    medians = []
    for kind in kinds:
        own = values[groups == kind]
        weight = len(own) / (len(own) + SHRINK)
        medians.append(weight * own.median(dim=0).values + (1 - weight) * common)
    centers = Centers(kinds, torch.stack(medians), common, torch.ones_like(common))
    deviation = centers.centered(values, groups).abs().median(dim=0).values
    spread = (MAD_TO_STD * deviation).clamp_min(1e-9)
    return Centers(kinds, centers.medians, common, spread)


def fit_usual(values: Tensor, groups: Tensor, log_odds: Tensor) -> Usual:
    """Centers and levels of trusted statistics `[n, d]`, float64, at log-odds `[n]`."""
    centers = fit_centers(values, groups)
    centered = centers.centered(values, groups)
    count = len(values)
    share = torch.linspace(0.03, 0.97, KNOTS, dtype=torch.float64)
    ranks = (log_odds.argsort().argsort().double() + 0.5) / count
    weights = torch.exp(-0.5 * ((share[:, None] - ranks) / WINDOW) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    location = weights @ centered
    variance = (weights @ centered**2 - location**2).clamp_min(0)
    pooled = centered.var(dim=0, correction=0)
    scale = ((1 - POOLED) * variance + POOLED * pooled).sqrt().clamp_min(1e-9)
    return Usual(centers, Levels(torch.quantile(log_odds, share), location, scale))


def fit_density(values: Tensor, groups: Tensor, log_odds: Tensor) -> Density:
    """Fit to trusted statistics `[n, d]`, float64, at log-odds `[n]`."""
    usual = fit_usual(values, groups, log_odds)
    standardized = require_finite(usual.standardized(values, groups, log_odds))
    shrunk = LedoitWolf(assume_centered=True).fit(standardized.numpy())
    precision = torch.from_numpy(shrunk.precision_)
    return Density(usual, precision, fit_tail(_distance(standardized, precision)))


def crossfit_density(values: Tensor, groups: Tensor, log_odds: Tensor) -> tuple[Density, Tensor]:
    """Fit to trusted statistics as `fit_density` does, with the tail of examples it has not seen.

    An example lies nearer to what was fitted to it than others do, so a tail of the distances of
    the fitted examples takes others for more surprising than they are. Here each example's distance
    is by a fit to the other `FOLDS - 1` parts.

    Returns:
        The fit to all, and each example's surprise when it was held out `[n]`, nats.
    """
    part = _folds(len(values))
    distance = torch.empty(len(values), dtype=torch.float64)
    for fold in range(FOLDS):
        out = part == fold
        if bool(out.any()):
            others = fit_density(values[~out], groups[~out], log_odds[~out])
            held = others.usual.standardized(values[out], groups[out], log_odds[out])
            distance[out] = _distance(held, others.precision)
    everything = fit_density(values, groups, log_odds)
    tail = fit_tail(distance)
    return Density(everything.usual, everything.precision, tail), tail.surprise(distance)


def fit_tail(values: Tensor) -> Tail:
    """Fit to trusted values `[n]`, float64, positive."""
    levels = torch.tensor([0.5, 0.9], dtype=torch.float64)
    middle, high = torch.quantile(values.clamp_min(FLOOR).log(), levels).tolist()
    return Tail(middle, max((high - middle) / NORMAL_90, 1e-6))


def require_finite(values: Tensor) -> Tensor:
    """The values, if all are numbers; absurdly large weights overflow in products of responses.

    Raises:
        Inconclusive: some are not finite.
    """
    if bool(torch.isfinite(values).all()):
        return values
    raise Inconclusive(
        "statistics of trusted examples are not finite numbers, so nothing can be compared with "
        "them; look for weights of an absurd size in the model."
    )


def one_sided(values: Tensor) -> Tensor:
    """`-log P(at least this high)` of standardized values under a normal, nats."""
    return -torch.special.log_ndtr(-values)


def _folds(count: int) -> Tensor:
    """The part of each example, int64 `[count]`, at random: they may come class by class."""
    order = torch.randperm(count, generator=torch_generator(0, "folds", count))
    return order % FOLDS


def _distance(standardized: Tensor, precision: Tensor) -> Tensor:
    return ((standardized @ precision) * standardized).sum(dim=1)

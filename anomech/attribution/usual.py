"""What a statistic usually is among trusted examples, given the answer and the confidence.

Statistics are centered per answer, then standardized at the example's own confidence: honest
answers scatter widely where the model is unsure and hardly at all where it is sure, so one scale
for all would hide a confident anomaly behind hard but honest examples.

All of it is fitted to *held-out* statistics, of examples that were kept from what they are judged
by. Centers come from examples that are rightly answered; location and scale from all of them,
honest errors included: they own the highest per cent of every statistic, and a scale that has not
seen them takes every unsure answer for an anomaly. Therefore the knots of confidence are dense
where the model is unsure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from anomech.kernel.randomness import torch_generator

SHRINK = 10.0
"""A group's center counts as much as this many examples of the common center."""

SHARES = (0.01, 0.04, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)
WIDEST, NARROWED, FEWEST = 0.1, 0.6, 8
"""Shares of the examples, by confidence, at which location and scale are learned. A window reaches
over a tenth of the examples, less towards both ends, but never over fewer than eight."""

POOLED = 0.1
"""Share of the variance over all confidences that is mixed into each scale."""

PARTS = 5
"""Of a cross-fit."""

TINY = 1e-9
MAD_TO_STD = 1.4826


class Context(NamedTuple):
    """What statistics are judged at.

    Attributes:
        groups: of the answers, int64 `[n]`.
        log_odds: of the own answer, float64 `[n]`, nats.
        right: whether it is answered as labeled, bool `[n]`; looked at by fits alone.
    """

    groups: Tensor
    log_odds: Tensor
    right: Tensor

    def take(self, places: Tensor) -> "Context":
        """Of some of the examples."""
        return Context(self.groups[places], self.log_odds[places], self.right[places])


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
        width = (self.knots[right] - self.knots[right - 1]).clamp_min(TINY)
        weight = ((log_odds - self.knots[right - 1]) / width).clamp(0, 1)[:, None]
        location = torch.lerp(self.location[right - 1], self.location[right], weight)
        return (values - location) / torch.lerp(self.scale[right - 1], self.scale[right], weight)


@dataclass(frozen=True)
class Usual:
    """What statistics usually are, given the answer and the confidence."""

    centers: Centers
    levels: Levels

    def standardized(self, values: Tensor, at: Context) -> Tensor:
        """Values `[n, d]` in units of the scale at their confidence."""
        return self.levels.standardized(self.centers.centered(values, at.groups), at.log_odds)


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
    return Centers(kinds, centers.medians, common, (MAD_TO_STD * deviation).clamp_min(TINY))


def fit_usual(values: Tensor, at: Context) -> Usual:
    """Fit to held-out trusted statistics `[n, d]`, float64."""
    right = at.right if bool(at.right.any()) else torch.ones_like(at.right)
    centers = fit_centers(values[right], at.groups[right])
    centered, count = centers.centered(values, at.groups), len(values)
    shares = torch.tensor(SHARES, dtype=torch.float64)
    ranks = (at.log_odds.argsort().argsort().double() + 0.5) / count
    window = (NARROWED * torch.minimum(shares, 1 - shares)).clamp_min(FEWEST / count)
    distance = (shares[:, None] - ranks) / window.clamp_max(WIDEST)[:, None]
    weights = torch.exp(-0.5 * distance**2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    location = weights @ centered
    variance = (weights @ centered**2 - location**2).clamp_min(0)
    pooled = centered.var(dim=0, correction=0)
    scale = ((1 - POOLED) * variance + POOLED * pooled).sqrt().clamp_min(TINY)
    return Usual(centers, Levels(torch.quantile(at.log_odds, shares), location, scale))


Judge = TypeVar("Judge", bound=Callable[[Tensor, Context], Tensor])


def held_out(
    values: Tensor, at: Context, fit: Callable[[Tensor, Context], Judge]
) -> tuple[Tensor, Judge]:
    """Judge each example by what was fitted to the others.

    Args:
        values: trusted statistics `[n, d]`, float64.
        at: their contexts.
        fit: from statistics and contexts to a judge of others.

    Returns:
        What a fit to the other `PARTS - 1` parts says of each example `[n]`, and the fit to all.
    """
    part = torch.randperm(len(values), generator=torch_generator(0, "parts", len(values))) % PARTS
    found = torch.empty(len(values), dtype=torch.float64)
    for number in part.unique().tolist():
        mine, rest = torch.nonzero(part == number)[:, 0], torch.nonzero(part != number)[:, 0]
        found[mine] = fit(values[rest], at.take(rest))(values[mine], at.take(mine))
    return found, fit(values, at)

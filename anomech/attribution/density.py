"""How unusual a vector of statistics is among trusted examples.

Statistics are centered per group of answers (the median, shrunk to the common one where a group is
small), scaled, and measured by a Mahalanobis distance with Ledoit-Wolf shrinkage. The covariance is
not trimmed: hard but honest examples are what an anomaly must be told from, and they make its tails.
The distance of trusted examples is close to log-normal; its upper tail turns a distance into a
surprise, `-log P(a trusted example is at least this far)`, so that several parts can be summed
(Fisher's combination) and compared beyond the largest trusted value. Surprises rank; calibration
makes p-values.
"""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

SHRINK = 10.0
"""A group's center counts as much as this many examples of the common center."""

NORMAL_90 = 1.2815515655446004
MAD_TO_STD = 1.4826


@dataclass(frozen=True)
class Centers:
    """Medians by group `[groups, d]`, the common one `[d]` and the spread around them `[d]`."""

    groups: Tensor
    medians: Tensor
    common: Tensor
    spread: Tensor

    def standardized(self, values: Tensor, groups: Tensor) -> Tensor:
        """Values `[n, d]` less their group's median, in units of the spread."""
        same = groups[:, None] == self.groups
        place = same.to(torch.int64).argmax(dim=1)
        center = torch.where(same.any(dim=1)[:, None], self.medians[place], self.common)
        return (values - center) / self.spread


@dataclass(frozen=True)
class Density:
    """A fitted density.

    Attributes:
        centers: what a group's examples look like.
        precision: of the standardized values `[d, d]`.
        location: median of the log distance of trusted examples.
        scale: spread of the log distance, from its median and its 90 % quantile.
    """

    centers: Centers
    precision: Tensor
    location: float
    scale: float

    def surprise(self, values: Tensor, groups: Tensor) -> Tensor:
        """`-log P(at least this far)` `[n]`, nats."""
        distance = _distance(self.centers.standardized(values, groups), self.precision)
        return -torch.special.log_ndtr(-(distance.log() - self.location) / self.scale)


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
    deviation = centers.standardized(values, groups).abs().median(dim=0).values
    spread = (MAD_TO_STD * deviation).clamp_min(1e-9)
    return Centers(kinds, centers.medians, common, spread)


def fit_density(values: Tensor, groups: Tensor) -> Density:
    """Fit to trusted statistics `[n, d]`, float64."""
    centers = fit_centers(values, groups)
    standardized = centers.standardized(values, groups)
    shrunk = LedoitWolf(assume_centered=True).fit(standardized.numpy())
    precision = torch.from_numpy(shrunk.precision_)
    logs = _distance(standardized, precision).log()
    levels = torch.tensor([0.5, 0.9], dtype=torch.float64)
    middle, high = torch.quantile(logs, levels).tolist()
    return Density(centers, precision, middle, max((high - middle) / NORMAL_90, 1e-6))


def one_sided(values: Tensor) -> Tensor:
    """`-log P(at least this high)` of standardized values under a normal, nats."""
    return -torch.special.log_ndtr(-values)


def _distance(standardized: Tensor, precision: Tensor) -> Tensor:
    return ((standardized @ precision) * standardized).sum(dim=1).clamp_min(1e-12)

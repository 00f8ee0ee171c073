"""How unusual a vector of statistics is among trusted examples of the same answer and confidence.

What remains of statistics when they are standardized (`anomech.attribution.usual`) is measured by a
Mahalanobis distance with Ledoit-Wolf shrinkage. The distance of trusted examples is close to
log-normal; its upper tail turns a distance into a surprise, `-log P(a trusted example is at least
this far)`, so that several parts can be summed (Fisher's combination). Surprises rank; calibration
makes p-values.
"""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.attribution.usual import Context, Usual, fit_usual
from anomech.kernel.errors import Inconclusive

FLOOR = 1e-12
NORMAL_90 = 1.2815515655446004


@dataclass(frozen=True)
class Tail:
    """A log-normal upper tail of positive values, such as distances.

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
    """A fitted density; it judges by how far a vector is from the usual.

    Attributes:
        usual: what the statistics usually are.
        precision: of the standardized values `[d, d]`.
        tail: of the distances.
    """

    usual: Usual
    precision: Tensor
    tail: Tail

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """`-log P(at least this far)` of values `[n, d]`, nats `[n]`."""
        return self.tail.surprise(_distance(self.usual.standardized(values, at), self.precision))


def fit_density(values: Tensor, at: Context) -> Density:
    """Fit to trusted statistics `[n, d]`, float64."""
    usual = fit_usual(values, at)
    standardized = require_finite(usual.standardized(values, at))
    shrunk = LedoitWolf(assume_centered=True).fit(standardized.numpy())
    precision = torch.from_numpy(shrunk.precision_)
    return Density(usual, precision, fit_tail(_distance(standardized, precision)))


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


def _distance(standardized: Tensor, precision: Tensor) -> Tensor:
    return ((standardized @ precision) * standardized).sum(dim=1)

"""How near the input of the last layer is to that of trusted examples."""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.density import FLOOR, require_finite
from anomech.attribution.usual import SHRINK
from anomech.roles.detector import ObservedExamples

NEIGHBORS = 10


@dataclass(frozen=True)
class Nearness:
    """Features of anchors.

    Attributes:
        rows: unit features `[anchors, features]`.
        own: where unit features of each answer lie, drawn to their common mean.
        plain: where features as they are lie.
    """

    rows: Tensor
    own: "Means"
    plain: "Means"


@dataclass(frozen=True)
class Means:
    """Means by answer and the precision of the deviations from them.

    Attributes:
        groups: of answers `[groups]`.
        means: `[groups, features]`.
        common: mean of all `[features]`.
        precision: `[features, features]`.
    """

    groups: Tensor
    means: Tensor
    common: Tensor
    precision: Tensor

    def to_own(self, rows: Tensor, groups: Tensor) -> Tensor:
        """Log of the squared distance to the own answer's mean `[n]`."""
        same = groups[:, None] == self.groups
        means = torch.where(
            same.any(dim=1)[:, None], self.means[same.to(torch.int64).argmax(dim=1)], self.common
        )
        return _quadratic(rows - means, self.precision).clamp_min(FLOOR).log()

    def to_nearest(self, rows: Tensor) -> Tensor:
        """Log of the squared distance to the nearest mean `[n]`."""
        each = torch.stack([_quadratic(rows - mean, self.precision) for mean in self.means])
        return each.min(dim=0).values.clamp_min(FLOOR).log()


def fit_nearness(anchors: ObservedExamples) -> Nearness:
    """Fit to anchors, of a task that gives features."""
    features, groups = anchors.features, anchors.groups
    rows = unit(features)
    return Nearness(rows, fit_means(rows, groups, SHRINK), fit_means(features, groups, 0.0))


def neighbor_distance(anchors: Tensor, queries: Tensor) -> Tensor:
    """Mean distance of unit rows to their ten nearest anchors `[queries]`."""
    count = min(NEIGHBORS, len(anchors))
    return torch.cdist(queries, anchors).topk(count, dim=1, largest=False).values.mean(dim=1)


def fit_means(rows: Tensor, groups: Tensor, shrink: float) -> Means:
    """Means of rows `[anchors, features]`, drawn to the common one as by so many examples."""
    kinds, place = groups.unique(return_inverse=True)
    sums = torch.zeros(len(kinds), rows.shape[1], dtype=rows.dtype).index_add(0, place, rows)
    counts = place.bincount(minlength=len(kinds)).to(rows.dtype)[:, None]
    common = rows.mean(dim=0)
    means = (sums + shrink * common) / (counts + shrink)
    # Where means are drawn to the common one, an example deviates from that of the others: in many
    # dimensions it lies much nearer to what was fitted to it than anything else does.
    out = 1.0 if shrink else 0.0
    others = (sums[place] - out * rows + shrink * common) / (counts[place] - out + shrink)
    shrunk = LedoitWolf(assume_centered=True).fit(require_finite(rows - others).numpy())
    return Means(kinds, means, common, torch.from_numpy(shrunk.precision_))


def _quadratic(rows: Tensor, matrix: Tensor) -> Tensor:
    return ((rows @ matrix) * rows).sum(dim=1)

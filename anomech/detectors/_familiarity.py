"""How near the input of the last layer is to that of trusted examples."""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.density import (
    FLOOR,
    SHRINK,
    Centers,
    Density,
    Tail,
    crossfit_density,
    fit_centers,
    fit_tail,
    one_sided,
    require_finite,
)
from anomech.kernel.detector import ObservedExamples
from anomech.kernel.task import Features, Logits

NEIGHBORS = 10


@dataclass(frozen=True)
class Classes:
    """Where trusted unit features of each answer lie.

    Attributes:
        groups: of answers `[groups]`.
        means: theirs, each drawn to the common one `[groups, features]`.
        common: mean of all `[features]`.
        precision: of the deviations from them `[features, features]`.
    """

    groups: Tensor
    means: Tensor
    common: Tensor
    precision: Tensor

    def distance(self, rows: Tensor, groups: Tensor) -> Tensor:
        """Log of the squared Mahalanobis distance to the own answer's mean `[queries]`."""
        same = groups[:, None] == self.groups
        place = same.to(torch.int64).argmax(dim=1)
        means = torch.where(same.any(dim=1)[:, None], self.means[place], self.common)
        return _quadratic(rows - means, self.precision).clamp_min(FLOOR).log()


@dataclass(frozen=True)
class Familiarity:
    """Trusted features and what their neighborhoods look like.

    Attributes:
        rows: unit features of the anchors `[anchors, features]`.
        density: of neighbor distance, log feature length, log-odds and energy together, at the
            example's own confidence.
        classes: where features of each answer lie.
        centers: of the distance to the answer's mean and minus the energy, at any answer.
        tail: of the strangeness of trusted examples.
    """

    rows: Tensor
    density: Density
    classes: Classes
    centers: Centers
    tail: Tail

    def surprises(self, observed: ObservedExamples) -> tuple[Tensor, Tensor]:
        """Two surprises `[n]`, nats.

        Returns:
            How unusual the features are for an answer of this confidence, and how unfamiliar the
            input is: far from trusted features of its answer, and exciting no class.
        """
        rows = unit(observed.features)
        near = neighbor_distance(self.rows, rows)
        unusual = self.density.surprise(
            _statistics(near, observed), observed.groups, observed.log_odds
        )
        away = self.classes.distance(rows, observed.groups)
        return unusual, self.tail.surprise(_strangeness(self.centers, _strange(away, observed)))


def fit_familiarity(anchors: ObservedExamples) -> tuple[Familiarity, Tensor] | None:
    """Fit to anchors; None if the task gives no features and logits.

    Returns:
        The fit, and how unusual each anchor's features are beside the others', `[anchors]`, nats.
    """
    if not {Features, Logits} <= anchors.task.provides:
        return None
    rows = unit(anchors.features)
    near = neighbor_distance(rows, rows, skip_self=True)
    values = _statistics(near, anchors)
    density, unusual = crossfit_density(values, anchors.groups, anchors.log_odds)
    classes, away = fit_classes(rows, anchors.groups)
    strange = _strange(away, anchors)
    centers = fit_centers(strange, _any_answer(strange))
    tail = fit_tail(_strangeness(centers, strange))
    return Familiarity(rows, density, classes, centers, tail), unusual


def fit_classes(rows: Tensor, groups: Tensor) -> tuple[Classes, Tensor]:
    """Means and precision of unit features `[anchors, features]`, float64.

    Returns:
        The fit, and each anchor's log distance by a fit to the others. In many dimensions an
        anchor lies much nearer to what was fitted to it than anything else does.
    """
    kinds, place = groups.unique(return_inverse=True)
    sums = torch.zeros(len(kinds), rows.shape[1], dtype=rows.dtype).index_add(0, place, rows)
    counts = place.bincount(minlength=len(kinds)).to(rows.dtype)[:, None]
    common = rows.mean(dim=0)
    others = counts[place] - 1
    deviation = require_finite(rows - (sums[place] - rows + SHRINK * common) / (others + SHRINK))
    shrunk = LedoitWolf(assume_centered=True).fit(deviation.numpy())
    precision = torch.from_numpy(shrunk.precision_)
    squared = _quadratic(deviation, precision)
    # The covariance holds `weight` times each deviation's square; Sherman and Morrison take it out.
    weight = (1 - shrunk.shrinkage_) / len(rows)
    without = squared / (1 - weight * squared).clamp_min(FLOOR)
    means = (sums + SHRINK * common) / (counts + SHRINK)
    return Classes(kinds, means, common, precision), without.clamp_min(FLOOR).log()


def neighbor_distance(anchors: Tensor, queries: Tensor, *, skip_self: bool = False) -> Tensor:
    """Mean distance of unit rows to their ten nearest anchors `[queries]`."""
    distance = torch.cdist(queries, anchors)
    if skip_self:
        distance.fill_diagonal_(torch.inf)
    count = min(NEIGHBORS, anchors.shape[0] - int(skip_self))
    return distance.topk(max(count, 1), dim=1, largest=False).values.mean(dim=1)


def _quadratic(rows: Tensor, matrix: Tensor) -> Tensor:
    return ((rows @ matrix) * rows).sum(dim=1)


def _energy(observed: ObservedExamples) -> Tensor:
    return observed.logits.logsumexp(dim=1)


def _statistics(near: Tensor, observed: ObservedExamples) -> Tensor:
    length = observed.features.norm(dim=1).clamp_min(1e-12).log()
    return torch.stack([near, length, observed.log_odds, _energy(observed)], dim=1)


def _strange(away: Tensor, observed: ObservedExamples) -> Tensor:
    return torch.stack([away, -_energy(observed)], dim=1)


def _strangeness(centers: Centers, values: Tensor) -> Tensor:
    """Surprise at the distance plus surprise at the missing energy, `[n]`.

    Both are taken as they are, whatever the answer: unfamiliar inputs flock to some answers, and
    what is usual for those would hide them.
    """
    return one_sided(centers.standardized(values, _any_answer(values))).sum(dim=1)


def _any_answer(values: Tensor) -> Tensor:
    return torch.zeros(len(values), dtype=torch.int64)

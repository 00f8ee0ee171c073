"""How near the input of the last layer is to that of trusted examples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.density import Centers, Density, fit_centers, fit_density
from anomech.types import ObservedExamples

NEIGHBORS = 10


@dataclass(frozen=True)
class Familiarity:
    """Trusted features and what their neighborhoods look like.

    Attributes:
        rows: unit features of the anchors `[anchors, features]`.
        density: of neighbor distance, log feature length, log-odds and energy together.
        centers: of the neighbor distance alone.
    """

    rows: Tensor
    density: Density
    centers: Centers

    def surprise(self, observed: ObservedExamples, context: Tensor) -> Tensor:
        """`-log P(at least this unusual)` `[n]`, nats."""
        near = neighbor_distance(self.rows, unit(observed.features))
        values = _statistics(near, observed.features, context)
        return self.density.surprise(values, observed.groups, observed.log_odds)

    def distance(self, observed: ObservedExamples) -> Tensor:
        """Standardized distance to the nearest trusted features `[n]`; higher is less familiar."""
        near = neighbor_distance(self.rows, unit(observed.features))
        return self.centers.standardized(near[:, None], observed.groups)[:, 0]


def fit_familiarity(anchors: ObservedExamples, places: Tensor) -> Familiarity | None:
    """Fit to the anchors at these places; None if the task gives no features and logits."""
    if not {"features", "logits"} <= anchors.task.provides:
        return None
    features, groups = anchors.features[places], anchors.groups[places]
    context = torch.stack(
        [anchors.log_odds[places], anchors.logits[places].logsumexp(dim=1)], dim=1
    )
    rows = unit(features)
    near = neighbor_distance(rows, rows, skip_self=True)
    return Familiarity(
        rows,
        fit_density(_statistics(near, features, context), groups, anchors.log_odds[places]),
        fit_centers(near[:, None], groups),
    )


def neighbor_distance(anchors: Tensor, queries: Tensor, *, skip_self: bool = False) -> Tensor:
    """Mean distance of unit rows to their ten nearest anchors `[queries]`."""
    distance = torch.cdist(queries, anchors)
    if skip_self:
        distance.fill_diagonal_(torch.inf)
    count = min(NEIGHBORS, anchors.shape[0] - int(skip_self))
    return distance.topk(max(count, 1), dim=1, largest=False).values.mean(dim=1)


def _statistics(near: Tensor, features: Tensor, context: Tensor) -> Tensor:
    length = features.norm(dim=1).clamp_min(1e-12).log()
    return torch.cat([near[:, None], length[:, None], context], dim=1)

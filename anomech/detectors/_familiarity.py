"""How near the input of the last layer is to that of trusted examples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.density import (
    Centers,
    Density,
    Tail,
    fit_centers,
    fit_density,
    fit_tail,
    one_sided,
)
from anomech.methods import ObservedExamples

NEIGHBORS = 10


@dataclass(frozen=True)
class Familiarity:
    """Trusted features and what their neighborhoods look like.

    Attributes:
        rows: unit features of the anchors `[anchors, features]`.
        density: of neighbor distance, log feature length, log-odds and energy together, at the
            example's own confidence.
        centers: of neighbor distance and minus the energy, at any confidence.
        tail: of the strangeness of trusted examples.
    """

    rows: Tensor
    density: Density
    centers: Centers
    tail: Tail

    def surprises(self, observed: ObservedExamples) -> tuple[Tensor, Tensor]:
        """Two surprises `[n]`, nats.

        Returns:
            How unusual the features are for an answer of this confidence, and how unfamiliar the
            input is: far from trusted features, and exciting no class.
        """
        near = neighbor_distance(self.rows, unit(observed.features))
        unusual = self.density.surprise(
            _statistics(near, observed), observed.groups, observed.log_odds
        )
        return unusual, self.tail.surprise(_strangeness(self.centers, near, observed))


def fit_familiarity(anchors: ObservedExamples) -> tuple[Familiarity, Tensor] | None:
    """Fit to anchors; None if the task gives no features and logits.

    Returns:
        The fit, and how unusual each anchor's features are beside the others', `[anchors]`, nats.
    """
    if not {"features", "logits"} <= anchors.task.provides:
        return None
    rows = unit(anchors.features)
    near = neighbor_distance(rows, rows, skip_self=True)
    values = _statistics(near, anchors)
    density = fit_density(values, anchors.groups, anchors.log_odds)
    centers = fit_centers(torch.stack([near, -_energy(anchors)], dim=1), anchors.groups)
    tail = fit_tail(_strangeness(centers, near, anchors))
    unusual = density.surprise(values, anchors.groups, anchors.log_odds)
    return Familiarity(rows, density, centers, tail), unusual


def neighbor_distance(anchors: Tensor, queries: Tensor, *, skip_self: bool = False) -> Tensor:
    """Mean distance of unit rows to their ten nearest anchors `[queries]`."""
    distance = torch.cdist(queries, anchors)
    if skip_self:
        distance.fill_diagonal_(torch.inf)
    count = min(NEIGHBORS, anchors.shape[0] - int(skip_self))
    return distance.topk(max(count, 1), dim=1, largest=False).values.mean(dim=1)


def _energy(observed: ObservedExamples) -> Tensor:
    return observed.logits.logsumexp(dim=1)


def _statistics(near: Tensor, observed: ObservedExamples) -> Tensor:
    length = observed.features.norm(dim=1).clamp_min(1e-12).log()
    return torch.stack([near, length, observed.log_odds, _energy(observed)], dim=1)


def _strangeness(centers: Centers, near: Tensor, observed: ObservedExamples) -> Tensor:
    """Surprise at the distance plus surprise at the missing energy, `[n]`."""
    values = torch.stack([near, -_energy(observed)], dim=1)
    return one_sided(centers.standardized(values, observed.groups)).sum(dim=1)

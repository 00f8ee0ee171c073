"""How crowded the surroundings of a state are, beside those of its neighbors.

Equation: `reach(x, o) = max(k-distance(o), |x - o|)`, `lrd(x) = 1 / mean reach` to the k nearest
anchors; the factor is the mean of `lrd(o)` over them by `lrd(x)`.
Source: Breunig, Kriegel, Ng, Sander 2000.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TINY = 1e-10


@dataclass(frozen=True)
class Surroundings:
    """Anchors of one place.

    Attributes:
        rows: `[anchors, d]`.
        distances: to the k-th nearest other anchor `[anchors]`.
        densities: local reachability densities `[anchors]`.
        k: neighbors.
    """

    rows: Tensor
    distances: Tensor
    densities: Tensor
    k: int

    def factor(self, queries: Tensor) -> Tensor:
        """Local outlier factor of queries `[n, d]` that are no anchors, `[n]`."""
        near = _distances(queries, self.rows).topk(self.k, dim=1, largest=False)
        density = _density(near.values, self.distances[near.indices])
        return self.densities[near.indices].mean(dim=1) / density


def fit_surroundings(rows: Tensor, k: int) -> Surroundings:
    """Densities of anchors `[anchors, d]`, each among the others."""
    distance = _distances(rows, rows)
    if len(rows) > 1:
        distance.fill_diagonal_(torch.inf)
    near = distance.topk(k, dim=1, largest=False)
    distances = near.values[:, -1]
    return Surroundings(rows, distances, _density(near.values, distances[near.indices]), k)


def _distances(queries: Tensor, anchors: Tensor) -> Tensor:
    # By differences: the products that a fast way takes lose what near neighbors differ by.
    return torch.cdist(queries, anchors, compute_mode="donot_use_mm_for_euclid_dist")


def _density(distances: Tensor, theirs: Tensor) -> Tensor:
    return 1 / (torch.maximum(distances, theirs).mean(dim=1) + TINY)

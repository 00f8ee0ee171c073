"""kNN: features far from their nearest trusted neighbors are suspicious (baseline).

Belief: honest features lie where trusted features are dense.
Equation: distance of the unit feature to its k-th nearest trusted unit feature.
Source: Sun, Ming, Zhu, Li 2022.
Needs: features. Cost: none beyond the forward pass.
Fails when: the anomaly reuses the target class's features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health


@options
class Knn:
    """Distance of penultimate features to the k-th nearest trusted example."""

    k: int = option(10, "which neighbor", unit="anchors", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedKnn":
        """Keep the anchors' unit features."""
        rows = unit(anchors.features)
        return FittedKnn(rows, min(self.k, len(rows)))


@dataclass(frozen=True)
class FittedKnn:
    """Unit features of the anchors `[anchors, features]` and which neighbor counts."""

    rows: Tensor
    k: int
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Distance to the k-th neighbor, between 0 and 2."""
        distance = torch.cdist(unit(observed.features), self.rows)
        return Scores(distance.kthvalue(self.k, dim=1).values, {})

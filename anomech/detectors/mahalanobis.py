"""Mahalanobis: features far from every class's trusted features are suspicious (baseline).

Belief: honest features of a class form one cloud.
Equation: `min_c (f - mu_c)' S^-1 (f - mu_c)`, with one covariance for all classes (Ledoit-Wolf).
Source: Lee, Lee, Lee, Shin 2018, at the input of the last layer.
Needs: features. Cost: none beyond the forward pass.
Fails when: the anomaly reuses the target class's features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health


@options
class Mahalanobis:
    """Distance of penultimate features to the nearest class."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedMahalanobis":
        """Class means and the shared precision."""
        features, groups = anchors.features, anchors.groups
        kinds, place = groups.unique(return_inverse=True)
        means = torch.stack([features[groups == kind].mean(dim=0) for kind in kinds])
        shrunk = LedoitWolf(assume_centered=True).fit((features - means[place]).numpy())
        return FittedMahalanobis(means, torch.from_numpy(shrunk.precision_))


@dataclass(frozen=True)
class FittedMahalanobis:
    """Class means `[classes, features]` and the shared precision `[features, features]`."""

    means: Tensor
    precision: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Squared distance to the nearest class."""
        offset = observed.features[:, None] - self.means
        distance = torch.einsum("ncf,fg,ncg->nc", offset, self.precision, offset)
        return Scores(distance.min(dim=1).values, {})

"""Relative Mahalanobis: nearer to no class than to all of them together is suspicious (baseline).

Belief: what all inputs share hides how far an input is from its class; subtract it.
Equation: `min_c (f - mu_c)' S^-1 (f - mu_c) - (f - mu)' S_0^-1 (f - mu)`, with `S` within classes
and `S_0` of all features, both by Ledoit and Wolf.
Source: Ren, Fort, Liu, Roy, Padhy, Lakshminarayanan 2021, at the input of the last layer.
Needs: features. Cost: none beyond the forward pass.
Fails when: the anomaly reuses the target class's features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.detectors._places import ledoit_wolf, quadratic
from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health


@options
class RelativeMahalanobis:
    """Distance of penultimate features to the nearest class, less that to the whole."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedRelativeMahalanobis":
        """Class means, the common mean, and the precisions around both."""
        features, common = anchors.features, anchors.features.mean(dim=0)
        kinds, place = anchors.groups.unique(return_inverse=True)
        means = torch.stack([features[anchors.groups == kind].mean(dim=0) for kind in kinds])
        within, whole = ledoit_wolf(features - means[place]), ledoit_wolf(features - common)
        return FittedRelativeMahalanobis(means, within, common, whole)


@dataclass(frozen=True)
class FittedRelativeMahalanobis:
    """Class means `[classes, d]` with a precision `[d, d]`, the common mean `[d]` with another."""

    means: Tensor
    within: Tensor
    common: Tensor
    whole: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The difference of the two squared distances."""
        features = observed.features
        each = torch.stack([quadratic(features - mean, self.within) for mean in self.means])
        return Scores(each.min(dim=0).values - quadratic(features - self.common, self.whole), {})

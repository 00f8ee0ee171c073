"""ViM: features outside the directions that trusted features span, against the logits' energy.

Belief: foreign inputs move features in directions that known ones do not use, which no logit shows.
Equation: `alpha |(I - P)(f - o)| - logsumexp(logits)`; `o` is the origin at which the last layer
gives zero logits, `P` projects on the leading directions of trusted `f - o`, and `alpha` makes mean
residual and mean largest logit of trusted examples alike.
Source: Wang, Li, Feng, Zhang 2022 (ViM). Directions are kept until they hold `kept` of the
variance, because their fixed number (512 or 1,000) says nothing about small networks.
Needs: features and logits. Cost: none beyond the forward pass.
Fails when: an anomaly reuses the features of its class, and where trusted features span everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.detectors._head import linear_head
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features, Logits
from anomech.roles.tracer import Health


@options
class Vim:
    """Virtual-logit matching: a residual of the features as one more logit."""

    kept: float = option(0.95, "share of the variance that known directions hold", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features and logits."""
        return frozenset({Features, Logits})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedVim":
        """Origin, directions outside of the known ones, and their scale.

        Raises:
            DataError: the logits are not linear in the features.
        """
        features, logits = anchors.features, anchors.logits
        weights, bias = linear_head(features, logits)
        origin = -torch.linalg.pinv(weights) @ bias
        rows = features - origin
        values, directions = torch.linalg.eigh(rows.T @ rows / len(rows))
        held = values.clamp_min(0).cumsum(0) / values.clamp_min(0).sum()
        outside = directions[:, held <= 1 - self.kept]  # those of least variance come first
        residual = (rows @ outside).norm(dim=1)
        scale = logits.max(dim=1).values.mean() / residual.mean().clamp_min(1e-12)
        return FittedVim(origin, outside, float(scale))


@dataclass(frozen=True)
class FittedVim:
    """Origin `[features]`, directions outside `[features, directions]`, scale of a residual."""

    origin: Tensor
    outside: Tensor
    scale: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The virtual logit less the energy, nats."""
        residual = ((observed.features - self.origin) @ self.outside).norm(dim=1)
        return Scores(self.scale * residual - observed.logits.logsumexp(dim=1), {})

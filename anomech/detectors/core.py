"""CORE: little energy, or a residual unlike that of any class, which the last layer does not read.

Belief: what the last layer does not read of the features points in a direction of its own for each
class; confidence and this direction fail independently.
Equation: `-(z(logsumexp(logits)) + z(max_c cos(r, r_c)))`, where `r` is the part of the features
outside the span of the last layer's weights, less its trusted mean, `r_c` its trusted mean for a
class, and `z` standardizes by trusted examples.
Source: Yang, Kim, Bahk 2026 (CORE, arXiv 2603.18290), after its abstract and public summaries;
details that these do not give, the centering among them, are of our own.
Needs: features, more of them than classes, and logits. Cost: none beyond the forward pass.
Fails when: an anomaly reuses the features of its class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from anomech.detectors._head import linear_head
from anomech.kernel.config import options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features, Logits
from anomech.roles.tracer import Health


@options
class Core:
    """Energy and the direction of the residual, standardized and added."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Features and logits."""
        return frozenset({Features, Logits})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedCore":
        """The subspace outside the last layer, and each class's direction in it.

        Raises:
            CapabilityError: the last layer reads every direction of the features.
            DataError: the logits are not linear in the features.
        """
        weights, _ = linear_head(anchors.features, anchors.logits)
        _, sizes, directions = torch.linalg.svd(weights, full_matrices=True)
        read = int((sizes > 1e-6 * sizes.max()).sum())
        if read == weights.shape[1]:
            raise CapabilityError(
                f"core looks at features that the last layer does not read, and it reads all "
                f"{read} of them; leave the detector out."
            )
        outside = directions[read:].T
        rows = anchors.features @ outside
        middle = rows.mean(dim=0)
        kinds = anchors.groups.unique()
        own = [rows[anchors.groups == each].mean(dim=0) - middle for each in kinds]
        classes = functional.normalize(torch.stack(own))
        fitted = FittedCore(outside, middle, classes, torch.zeros(2, 2))
        parts = fitted.parts(anchors)
        usual = torch.stack([parts.mean(dim=1), parts.std(dim=1).clamp_min(1e-12)], dim=1)
        return FittedCore(outside, middle, classes, usual)


@dataclass(frozen=True)
class FittedCore:
    """What a residual is compared with.

    Attributes:
        outside: directions that the last layer does not read `[features, residual]`.
        middle: mean trusted residual `[residual]`.
        classes: unit mean residual of each class `[classes, residual]`.
        usual: mean and standard deviation of energy and of likeness `[2, 2]`.
    """

    outside: Tensor
    middle: Tensor
    classes: Tensor
    usual: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def parts(self, observed: ObservedExamples) -> Tensor:
        """Energy and likeness to the nearest class's residual `[2, examples]`."""
        rows = functional.normalize(observed.features @ self.outside - self.middle)
        likeness = (rows @ self.classes.T).max(dim=1).values
        return torch.stack([observed.logits.logsumexp(dim=1), likeness])

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the sum of both, standardized."""
        mean, spread = self.usual.T
        return Scores(-((self.parts(observed) - mean[:, None]) / spread[:, None]).sum(dim=0), {})

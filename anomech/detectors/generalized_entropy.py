"""Generalized entropy: an answer that shares itself out over classes is suspicious (baseline).

Belief: small probabilities tell more about unfamiliar inputs than the largest one.
Equation: `sum_k p_k^g (1 - p_k)^g` over the `classes` largest probabilities.
Source: Liu, Lochman, Zach 2023 (GEN), with their g of 0.1 and 100 classes.
Needs: logits. Cost: none beyond the forward pass.
Fails when: the planted mechanism is confident, as backdoors are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits
from anomech.roles.tracer import Health


@options
class GeneralizedEntropy:
    """Entropy that weighs small probabilities."""

    power: float = option(0.1, "g, below 1 to weigh small probabilities", gt=0, le=1)
    classes: int = option(100, "largest probabilities that count", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Logits."""
        return frozenset({Logits})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedGeneralizedEntropy":
        """Nothing to learn."""
        return FittedGeneralizedEntropy(self.power, self.classes)


@dataclass(frozen=True)
class FittedGeneralizedEntropy:
    """The options."""

    power: float
    classes: int
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The entropy; `1 - p` is summed from the other classes, so that it never rounds to 0."""
        logits = observed.logits
        largest = logits.topk(min(self.classes, logits.shape[1]), dim=1)
        own = torch.nn.functional.one_hot(largest.indices, logits.shape[1]).bool()
        others = logits[:, None, :].masked_fill(own, -torch.inf).logsumexp(dim=2)
        total = logits.logsumexp(dim=1, keepdim=True)
        logs = (largest.values - total) + (others - total)
        return Scores((self.power * logs).exp().sum(dim=1), {})

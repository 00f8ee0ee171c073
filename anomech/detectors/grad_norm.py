"""GradNorm: logits that hardly depend on the last layer's weights are suspicious (baseline).

Belief: a known input has large features and an answer far from undecided; both make the gradient
towards an undecided answer long.
Equation: minus the L1 norm of the gradient, by the last layer's weights, of the cross-entropy from
the uniform answer: `|f|_1 * |p - 1/K|_1`, in closed form.
Source: Huang, Geng, Li 2021 (GradNorm).
Needs: features and logits. Cost: none beyond the forward pass.
Fails when: an anomaly has large features, as a trigger has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features, Logits
from anomech.roles.tracer import Health


@options
class GradNorm:
    """Length of the gradient towards an undecided answer, at the last layer."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Features and logits."""
        return frozenset({Features, Logits})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedGradNorm":
        """Nothing to learn."""
        return FittedGradNorm()


@dataclass(frozen=True)
class FittedGradNorm:
    """Stateless."""

    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the norm of the gradient."""
        logits = observed.logits
        undecided = (logits.softmax(dim=1) - 1 / logits.shape[1]).abs().sum(dim=1)
        return Scores(-observed.features.abs().sum(dim=1) * undecided, {})

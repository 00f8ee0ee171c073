"""Energy: a small total of exponentiated logits is suspicious (baseline).

Belief: unfamiliar inputs excite no class.
Equation: `-logsumexp(logits)`.
Source: Liu, Wang, Owens, Li 2020.
Needs: logits. Cost: none beyond the forward pass.
Fails when: an attack drives logits up (adversarial inputs score as very normal).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits
from anomech.roles.tracer import Health


@options
class Energy:
    """Low total activation of the logits."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Logits."""
        return frozenset({Logits})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedEnergy":
        """Nothing to learn."""
        return FittedEnergy()


@dataclass(frozen=True)
class FittedEnergy:
    """Stateless."""

    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """`-logsumexp(logits)`, nats."""
        return Scores(-observed.logits.logsumexp(dim=1), {})

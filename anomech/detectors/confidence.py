"""Confidence: an answer the model is unsure of is suspicious (baseline).

Belief: anomalous inputs get unsure answers; backdoors are the counterexample.
Equation: `-log_odds` of the model's own answer, the same ranking as one minus the largest softmax.
Source: Hendrycks, Gimpel 2017 (maximum softmax probability).
Needs: probabilities. Cost: none beyond the forward pass.
Fails when: the planted mechanism is confident, as backdoors and adversarial inputs are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.black_box import Sureness
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health


@options
class Confidence:
    """Low confidence in the own answer."""

    @property
    def needs(self) -> frozenset[Ability]:
        """How sure the answer is."""
        return frozenset({Sureness})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedConfidence":
        """Nothing to learn."""
        return FittedConfidence()


@dataclass(frozen=True)
class FittedConfidence:
    """Stateless."""

    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """`-log_odds`, nats."""
        return Scores(-observed.log_odds, {})

"""Self-influence: an answer that training on this very example would move most is suspicious.

Belief: memorized and odd examples pull at parameters that no other example pulls at.
Equation: the squared length of the gradient of the loss of the own answer,
`(1 - p)^2 |grad log-odds|^2`, logarithmic.
Source: Pruthi, Liu, Kale, Sundararajan 2020 (TracIn) without checkpoints; its use against
backdoors is a baseline of functional attribution.
Needs: what its tracer needs. Cost: that of the tracer.
Fails when: an answer is confident, because its loss then pulls at nothing: a trigger's answer is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch.nn import functional

from anomech.detectors._tracer import beyond_the_answer
from anomech.kernel.config import options
from anomech.kernel.errors import ConfigError
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource


@options
class SelfInfluence:
    """Length of the gradient of the own loss."""

    tracer: Tracer = chosen("tracer", "gradient", "how parameters move")

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task: those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedSelfInfluence":
        """Fit the tracer.

        Raises:
            ConfigError: the tracer draws parameters instead of taking gradients.
        """
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        if anchors.traced(source, progress).centered:
            raise ConfigError("self_influence needs gradients; use tracer=gradient or last_layer.")
        return FittedSelfInfluence(source)


@dataclass(frozen=True)
class FittedSelfInfluence:
    """The movement of the parameters."""

    source: TraceSource
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces."""
        return beyond_the_answer(self.source)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Logarithm of the squared length; the first term is `log (1 - p)^2` without underflow."""
        values = observed.traced(self.source, progress).values.double()
        length = values.square().sum(dim=1).clamp_min(1e-300).log()
        return Scores(2 * functional.logsigmoid(-observed.log_odds) + length, {})

"""Answer number: a detector that finds high class numbers suspicious."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health


@options
class AnswerNumber:
    """Scores an answer by its number."""

    factor: float = option(2.0, "what numbers are multiplied by")

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "Fitted":
        """Nothing to learn."""
        return Fitted(self.factor)


@dataclass(frozen=True)
class Fitted:
    """The factor alone."""

    factor: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The answer's number by the factor."""
        return Scores(observed.groups.double() * self.factor, {})

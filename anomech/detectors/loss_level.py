"""Loss level: an answer whose loss is unusual for its class, high or low, is suspicious (baseline).

Belief: planted mechanisms are learned to another depth than honest ones.
Equation: `|z|`, z the log-odds of the own answer less its class's median over its class's spread.
Source: the two-sided form of the loss statistic that published evaluations use as a control.
Needs: probabilities. Cost: none beyond the forward pass.
Fails when: the anomaly is as confident as honest examples are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.attribution.usual import Centers, fit_centers
from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.black_box import Sureness
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health


@options
class LossLevel:
    """Loss of the own answer, two-sided, per class."""

    @property
    def needs(self) -> frozenset[Ability]:
        """How sure the answer is."""
        return frozenset({Sureness})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedLossLevel":
        """Learn the usual level of each class."""
        return FittedLossLevel(fit_centers(anchors.log_odds[:, None], anchors.groups))


@dataclass(frozen=True)
class FittedLossLevel:
    """Usual log-odds by class."""

    centers: Centers
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Distance from the usual level, in robust standard deviations."""
        values = self.centers.standardized(observed.log_odds[:, None], observed.groups)
        return Scores(values[:, 0].abs(), {})

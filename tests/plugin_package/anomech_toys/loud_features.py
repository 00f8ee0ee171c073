"""Loud features: an explainer that points at the features that are largest on flagged inputs."""

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Features


@options
class LoudFeatures:
    """Mean feature of the flagged inputs less that of the trusted."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`."""
        progress("comparing", 1, 1)
        return Explanation({"features": flagged.features.mean(0) - trusted.features.mean(0)})

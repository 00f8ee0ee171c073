"""Local outlier factor: states in a sparser place than their neighbors' are suspicious (baseline).

Belief: honest states form clusters of different density, so distance alone misleads.
Equation: `reach(x, o) = max(k-distance(o), |x - o|)`, `lrd(x) = 1 / mean reach` to the k nearest
anchors; the score is the mean of `lrd(o)` over them by `lrd(x)`, averaged over places.
Source: Breunig, Kriegel, Ng, Sander 2000; the best detector of EleutherAI's study of quirky models.
Needs: what its tracer needs: activations.
Cost: one forward pass.
Fails when: the states of triggered inputs were trained to look honest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.detectors._places import by_place, mean_over_places
from anomech.detectors._surroundings import Surroundings, fit_surroundings
from anomech.kernel.config import option, options
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource


@options
class LocalOutlierFactor:
    """Density of a state's surroundings beside that of its neighbors'."""

    tracer: Tracer = chosen("tracer", "states", "what is compared")
    k: int = option(20, "neighbors", unit="anchors", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedLocalOutlierFactor":
        """Keep the anchors with their k-distances and densities."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        k = max(1, min(self.k, len(anchors) - 1))
        rows = by_place(anchors, source, progress)
        return FittedLocalOutlierFactor(
            source, {name: fit_surroundings(each, k) for name, each in rows.items()}
        )


@dataclass(frozen=True)
class FittedLocalOutlierFactor:
    """Anchors by place."""

    source: TraceSource
    places: Mapping[str, Surroundings]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces."""
        return self.source.evaluations

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Mean over places of the factors."""
        rows = by_place(observed, self.source, progress)
        factors = {name: self.places[name].factor(each) for name, each in rows.items()}
        return Scores(mean_over_places(factors), {})

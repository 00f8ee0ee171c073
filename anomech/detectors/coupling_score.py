"""Coupling score: one coupling and one score, as published.

Belief: an answer from a planted mechanism couples weakly to everything trusted.
Equation: minus the mean, best-class, own-class or nearest coupling, or one minus the explained
fraction. With tracer `rmsprop_sgld` and coupling `pearson`, scores `mean` and `best_class` are the
published "mean correlation" and "class-level correlation"; with `concordance` the other two.
Source: Lyons Keenan, Leckie, Erfani (2026).
Needs: what its tracer needs.
Cost: that of the tracer.
Fails when: one statistic is not enough; see `functional_attribution`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from anomech.attribution.couplings import COUPLINGS, cosine
from anomech.attribution.scores import SCORES, explained, span_inverse
from anomech.detectors._tracer import beyond_the_answer
from anomech.kernel.config import option, options
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, Traces, TraceSource


@options
class CouplingScore:
    """One published score of one coupling."""

    tracer: Tracer = chosen("tracer", "gradient", "how parameters move")
    coupling: Literal["cosine", "pearson", "covariance", "concordance"] = option(
        "cosine", "how two traces are compared; the cosine of draw traces is Pearson's"
    )
    score: Literal["mean", "best_class", "own_class", "nearest", "explained"] = option(
        "best_class", "how couplings to the anchors are summed up"
    )
    ridge: float = option(0.1, "lambda of the explained fraction, for unit responses", gt=0)
    evidence: int = option(3, "nearest anchors given as evidence", unit="anchors", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task: those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedCouplingScore":
        """Trace the anchors."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        traces, inverse = anchors.traced(source, progress), None
        if self.score == "explained":
            rows = _rows(traces)
            inverse = span_inverse(cosine(rows, rows), self.ridge)
        return FittedCouplingScore(self, source, traces, inverse, anchors.groups)


@dataclass(frozen=True)
class FittedCouplingScore:
    """The anchors' traces with their groups.

    Attributes:
        chosen: the options.
        source: the movement of the parameters.
        anchors: their traces.
        inverse: of their Gram matrix, if the score needs it.
        groups: of the anchors, int64.
        left_out: none are.
    """

    chosen: CouplingScore
    source: TraceSource
    anchors: Traces
    inverse: Tensor | None
    groups: Tensor
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
        """Minus the support by the anchors."""
        traces = observed.traced(self.source, progress)
        near = cosine(_rows(traces), _rows(self.anchors))
        if self.inverse is not None:
            support = explained(near, self.inverse)
        else:
            coupling = near
            if self.chosen.coupling != "cosine":
                # The others look at raw values; centering is part of the coupling.
                coupling = COUPLINGS[self.chosen.coupling](traces.values, self.anchors.values)
            support = SCORES[self.chosen.score](coupling, observed.groups, self.groups)
        couplings, nearest = near.topk(min(self.chosen.evidence, near.shape[1]), dim=1)
        return Scores(
            -support.double(), {}, nearest=nearest, couplings=couplings.double().clamp(-1, 1)
        )


def _rows(traces: Traces) -> Tensor:
    """Rows whose cosine is the right coupling: centered over draws, as they are for gradients."""
    if not traces.centered:
        return traces.values
    return traces.values - traces.values.mean(dim=1, keepdim=True)

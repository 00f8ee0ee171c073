"""Coupling score: one coupling and one score, as published.

Belief: an answer from a planted mechanism couples weakly to everything trusted.
Equation: minus the mean, best-class, own-class or nearest coupling, or one minus the explained
fraction. With tracer `rmsprop_sgld` and coupling `pearson`, scores `mean` and `best_class` are the
published "mean correlation" and "class-level correlation"; with `concordance` the other two.
Source: Lyons Keenan, Leckie, Erfani (2026).
Needs: what its tracer needs.
Cost: that of the tracer; with `stages`, an input that is settled as clear takes no more draws, and
the cost is the mean that was measured.
Fails when: one statistic is not enough; see `functional_attribution`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.couplings import COUPLINGS, cosine
from anomech.attribution.scores import SCORES, explained, span_inverse
from anomech.detectors._tracer import beyond_the_answer, fitted_tracer
from anomech.kernel.config import option, options
from anomech.kernel.detector import ObservedExamples, Scores, StagedScores
from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.plugins import chosen
from anomech.kernel.task import Ability
from anomech.kernel.tracer import Health, StagedSource, Tracer, Traces, TraceSource
from anomech.kernel.types import Progress


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
    stages: tuple[int, ...] = option(
        (), "numbers of draws at which inputs that are settled as clear stop; none: all go on"
    )
    confidence: float = option(
        0.95, "share of inputs that would be flagged in the end that must go on", gt=0, le=1
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task: those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedCouplingScore":
        """Trace the anchors."""
        source = fitted_tracer(self.tracer, anchors, seed=seed, progress=progress)
        traces = anchors.traced(source, progress)
        stages = _stages(self.stages, source, traces)
        references = tuple(_reference(traces, draws, self) for draws in stages)
        return FittedCouplingScore(self, source, stages, references, anchors.groups)


@dataclass(frozen=True)
class Reference:
    """The anchors' traces at one stage, and their inverse Gram matrix if it is needed."""

    anchors: Traces
    inverse: Tensor | None


@dataclass(frozen=True)
class FittedCouplingScore:
    """The anchors as they are at every stage, the last of which is all draws, and their groups."""

    chosen: CouplingScore
    source: TraceSource
    stages: tuple[int, ...]
    references: tuple[Reference, ...]
    groups: Tensor
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces; with stages, of an example that takes them all."""
        return beyond_the_answer(self.source)

    @property
    def confidence(self) -> float:
        """See `anomech.kernel.detector.StagedMethod`."""
        return self.chosen.confidence

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the support by the anchors."""
        traces = observed.traced(self.source, progress)
        return self._scores(traces, observed.groups, self.references[-1])

    def score_in_stages(
        self,
        observed: ObservedExamples,
        settle: Callable[[int, Tensor, np.ndarray], Tensor],
        progress: Progress,
    ) -> StagedScores:
        """See `anomech.kernel.detector.StagedMethod`."""
        if not isinstance(self.source, StagedSource):
            raise CapabilityError("this tracer takes no draws, so it cannot stop early.")
        count, width = len(observed), min(self.chosen.evidence, len(self.groups))
        score = torch.zeros(count, dtype=torch.float64)
        taken, couplings = torch.zeros_like(score), score.new_zeros(count, width)
        nearest = torch.zeros(count, width, dtype=torch.int64)

        def at_stage(traces: Traces, places: np.ndarray) -> Tensor:
            stage = self.stages.index(traces.values.shape[1])
            now = self._scores(traces, observed.groups[places], self.references[stage])
            score[places], taken[places] = now.score, float(self.stages[stage])
            assert now.nearest is not None
            assert now.couplings is not None
            nearest[places], couplings[places] = now.nearest, now.couplings
            return settle(stage, now.score, places)

        self.source.in_stages(observed.examples, observed.answers, self.stages, at_stage, progress)
        return StagedScores(Scores(score, {}, nearest=nearest, couplings=couplings), taken)

    def _scores(self, traces: Traces, groups: Tensor, reference: Reference) -> Scores:
        near = cosine(_rows(traces), _rows(reference.anchors))
        if reference.inverse is not None:
            support = explained(near, reference.inverse)
        else:
            coupling = near
            if self.chosen.coupling != "cosine":
                # The others look at raw values; centering is part of the coupling.
                coupling = COUPLINGS[self.chosen.coupling](traces.values, reference.anchors.values)
            support = SCORES[self.chosen.score](coupling, groups, self.groups)
        couplings, nearest = near.topk(min(self.chosen.evidence, near.shape[1]), dim=1)
        return Scores(
            -support.double(), {}, nearest=nearest, couplings=couplings.double().clamp(-1, 1)
        )


def _stages(given: tuple[int, ...], source: TraceSource, traces: Traces) -> tuple[int, ...]:
    """The stages with all draws as the last one.

    Raises:
        ConfigError: they do not increase, or are not fewer than all draws.
        CapabilityError: the tracer does not take draws.
    """
    every = (*given, traces.values.shape[1])
    if not given:
        return every
    if not isinstance(source, StagedSource):
        raise CapabilityError("stages need a tracer that takes draws, such as gaussian.")
    if given[0] < 2 or any(one >= two for one, two in pairwise(every)):
        raise ConfigError(
            f"stages must increase from at least 2 to fewer than all {every[-1]} draws; they are "
            f"{', '.join(str(draws) for draws in given)}."
        )
    return every


def _reference(traces: Traces, draws: int, chosen: CouplingScore) -> Reference:
    """The anchors with their first draws."""
    anchors = traces
    if draws < traces.values.shape[1]:
        first = traces.values[:, :draws]
        anchors = Traces(first, {"draws": slice(0, draws)}, traces.centered, first.mean(dim=1))
    if chosen.score != "explained":
        return Reference(anchors, None)
    rows = _rows(anchors)
    return Reference(anchors, span_inverse(cosine(rows, rows), chosen.ridge))


def _rows(traces: Traces) -> Tensor:
    """Rows whose cosine is the right coupling: centered over draws, as they are for gradients."""
    if not traces.centered:
        return traces.values
    return traces.values - traces.values.mean(dim=1, keepdim=True)

"""Neuron coverage: units driven beyond what trusted inputs ever did are suspicious (baseline).

Belief: trusted inputs cover the ranges in which units work; what happens outside was never tested.
Equation: the share of units, over all places between the layers, whose activation lies outside the
trusted range, widened by `margin` of its width on both sides. Activations are means over positions.
Source: Pei, Cao, Yang, Jana 2017 (DeepXplore) for coverage by neurons; the boundary form is that of
Ma and others 2018 (DeepGauge).
Needs: activations between layers. Cost: one forward pass.
Fails when: a mechanism works within the ranges of its class, which is the rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health


@options
class NeuronCoverage:
    """Share of units outside their trusted range."""

    margin: float = option(0.0, "by which a range is widened, of its width", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations between layers."""
        return frozenset({Activations})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedNeuronCoverage":
        """The range of every unit."""
        rows = _units(anchors, progress)
        low, high = rows.min(dim=0).values, rows.max(dim=0).values
        room = self.margin * (high - low)
        return FittedNeuronCoverage(low - room, high + room)


@dataclass(frozen=True)
class FittedNeuronCoverage:
    """Ends of the range of every unit, `[units]` each."""

    low: Tensor
    high: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 1.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The share of units outside."""
        if not len(observed):
            return Scores(torch.zeros(0).double(), {})
        rows = _units(observed, progress)
        return Scores(((rows < self.low) | (rows > self.high)).double().mean(dim=1), {})


def _units(observed: ObservedExamples, progress: Progress) -> Tensor:
    """All units of all places `[examples, units]`."""
    return torch.cat(list(pooled_activations(observed, progress).values()), dim=1)

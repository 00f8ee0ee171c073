"""Layer differences: steps from layer to layer unlike trusted ones are suspicious (baseline).

Belief: a trigger is written into the state by a few layers, whose step is then unusual.
Equation: for neighboring places l of one width, `s_l = sum_i ((h_{l+1} - h_l)_i - mu_i)^2 / var_i`
over d, `mu` and `var` those of trusted examples; the score is the Mahalanobis distance of the
vector of logs `log s_l` to its trusted mean, with the covariance of Ledoit and Wolf.
Source: LCF (arXiv 2604.24542), from its abstract; the logs are this project's, since variances
would follow the largest of skewed values.
Needs: activations, of which two neighbors have one width.
Cost: one forward pass.
Fails when: the states of triggered inputs were trained to look honest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from anomech.detectors._places import by_place, ledoit_wolf, quadratic
from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health, TraceSource
from anomech.tracing.states import States

TINY = 1e-12


@options
class LayerDifferences:
    """Unusual steps between neighboring layers."""

    states: States = option(States(most=64), "which places are compared with the next")

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations."""
        return frozenset({Activations})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedLayerDifferences":
        """The usual step of every layer, and how unusual trusted steps are.

        Raises:
            CapabilityError: no two neighboring places have the same width.
        """
        source = anchors.source(self.states, seed=seed, progress=progress)
        found = _differences(by_place(anchors, source, progress))
        if not found:
            raise CapabilityError(
                "layer_differences needs two neighboring places of one width, and this model has "
                "none; use layer_mahalanobis."
            )
        means = {name: rows.mean(dim=0) for name, rows in found.items()}
        variances = {name: rows.var(dim=0).clamp_min(TINY) for name, rows in found.items()}
        steps = Steps(means, variances)
        logs = steps.logs(found)
        usual = logs.mean(dim=0)
        return FittedLayerDifferences(source, steps, usual, ledoit_wolf(logs - usual))


@dataclass(frozen=True)
class Steps:
    """Mean and variance of every step, `[d]` each, by the names of its ends."""

    means: Mapping[str, Tensor]
    variances: Mapping[str, Tensor]

    def logs(self, differences: Mapping[str, Tensor]) -> Tensor:
        """`log s_l` `[n, steps]`."""
        columns = [
            ((differences[name] - mean).square() / self.variances[name]).mean(dim=1)
            for name, mean in self.means.items()
        ]
        return torch.stack(columns, dim=1).clamp_min(TINY).log()


@dataclass(frozen=True)
class FittedLayerDifferences:
    """Usual steps, and the mean and precision of their logs."""

    source: TraceSource
    steps: Steps
    usual: Tensor
    precision: Tensor
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the states."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the states."""
        return self.source.evaluations

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Squared distance of the logs to their trusted mean."""
        logs = self.steps.logs(_differences(by_place(observed, self.source, progress)))
        return Scores(quadratic(logs - self.usual, self.precision), {})


def _differences(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Steps between neighboring places of one width `[n, d]`."""
    return {
        f"{first} to {second}": rows[second] - rows[first]
        for first, second in pairwise(rows)
        if rows[first].shape[1] == rows[second].shape[1]
    }

"""Activation frequency: units that fire for flagged inputs more often than for trusted ones.

Belief: a unit of a mechanism is silent for honest inputs of the answer and fires for its own.
Equation: the share of flagged inputs that drive a unit above the `quantile` of trusted inputs of
the same answers, less the share of those. Activations are means over positions, less the trusted
mean of the answer.
Source: the review of backdoor mechanisms, after Gu, Dolan-Gavitt, Garg 2017.
Needs: activations between layers; trusted inputs with the answers of the flagged.
Cost: a forward pass for every input.
Fails when: a mechanism lowers units instead of raising them.
"""

import torch
from torch import Tensor

from anomech.explainers._comparing import activations_of, compared, means_of, within
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health


@options
class ActivationFrequency:
    """How much more often a unit fires for flagged inputs."""

    quantile: float = option(0.99, "of trusted activations, beyond which a unit fires", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations between layers."""
        return frozenset({Activations})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; nothing is random.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        rows, reference = activations_of(both, progress)
        units = {}
        for place, known in reference.items():
            means = means_of(known, both.trusted.groups)
            usual = within(known, both.trusted.groups, means)
            units[place] = frequency(
                within(rows[place], both.flagged.groups, means), usual, self.quantile
            )
        facts = {f"largest share at {place}": float(each.max()) for place, each in units.items()}
        return Explanation(units, None, Health(both.problems), facts)


def frequency(rows: Tensor, usual: Tensor, quantile: float) -> Tensor:
    """Share of rows `[n, units]` beyond a quantile of usual rows `[m, units]`, less theirs."""
    level = torch.quantile(usual, quantile, dim=0)
    return (rows > level).double().mean(dim=0) - (usual > level).double().mean(dim=0)

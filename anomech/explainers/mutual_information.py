"""Mutual information: units whose activation tells flagged inputs from trusted ones.

Belief: whatever way a mechanism moves a unit, knowing the unit tells who uses the mechanism.
Equation: `I(binned activation; flagged)` in nats, over bins by quantiles of both kinds together,
less its expectation without dependence, `(bins - 1) / (2 n)` (Miller and Madow). Activations are
means over positions, less the trusted mean of the answer.
Source: mutual information in the review of backdoor mechanisms; Miller 1955 for the correction.
Needs: activations between layers; trusted inputs with the answers of the flagged.
Cost: a forward pass for every input.
Fails when: few inputs are flagged, or a unit tells of something that goes along with the mechanism.
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
class MutualInformation:
    """What a unit tells about being flagged."""

    bins: int = option(8, "of each unit's activation, by quantiles", unit="bins", ge=2)

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
            ours = within(rows[place], both.flagged.groups, means)
            usual = within(known, both.trusted.groups, means)
            units[place] = information(ours, usual, self.bins)
        facts = {f"most at {place}": float(each.max()) for place, each in units.items()}
        return Explanation(units, None, Health(both.problems), facts)


def information(rows: Tensor, usual: Tensor, bins: int) -> Tensor:
    """What each unit tells of the kind of a row, nats `[units]`, at least 0.

    Args:
        rows: of one kind `[n, units]`.
        usual: of the other `[m, units]`.
        bins: by quantiles of both together.
    """
    every = torch.cat([rows, usual])
    steps = torch.linspace(0, 1, bins + 1, dtype=every.dtype)[1:-1]
    edges = torch.quantile(every, steps, dim=0)
    place = (every[None] > edges[:, None]).sum(dim=0)
    kind = torch.arange(len(every)) < len(rows)
    found = torch.zeros(every.shape[1], dtype=torch.float64)
    for part in range(bins):
        inside = (place == part).double()
        whole = inside.mean(dim=0)
        for side in (kind, ~kind):
            joint = inside[side].sum(dim=0) / len(every)
            expected = whole * side.double().mean()
            found += torch.where(joint > 0, joint * (joint / expected.clamp_min(1e-300)).log(), 0.0)
    return (found - (bins - 1) / (2 * len(every))).clamp_min(0)

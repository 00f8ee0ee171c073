"""Activation difference: units that flagged inputs drive otherwise than trusted ones of the answer.

Belief: a mechanism sits in units that answer to it and to little else, so that flagged inputs
excite them more than trusted inputs with the very same answers do.
Equation: Cohen's d of each unit: the difference of its mean activation between flagged and trusted
inputs by their pooled standard deviation, both less the trusted mean of their answer. Activations
are means over positions.
Source: the first of the statistics for single units in the review of backdoor mechanisms; Cohen
1988 for d.
Needs: activations between layers; two trusted inputs or more with the answers of the flagged.
Cost: a forward pass for every input.
Fails when: a mechanism is spread over many units, or shares them with the class it leads to; a unit
that differs need not cause anything.
"""

import torch
from torch import Tensor

from anomech.explainers._comparing import LEAST, activations_of, compared, means_of, within
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health


@options
class ActivationDifference:
    """Cohen's d of every unit between flagged and trusted inputs of the same answers."""

    least: int = option(LEAST, "trusted inputs that an answer must have", unit="examples", ge=2)

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
        both = compared(flagged, trusted, self.least)
        rows, reference = activations_of(both, progress)
        ours, theirs = both.flagged.groups, both.trusted.groups
        units = {place: effect(rows[place], ours, reference[place], theirs) for place in rows}
        facts = {f"largest effect at {place}": float(each.max()) for place, each in units.items()}
        count = {"flagged inputs compared": float(len(both.flagged))}
        return Explanation(units, None, Health(both.problems), {**count, **facts})


def effect(rows: Tensor, groups: Tensor, trusted: Tensor, trusted_groups: Tensor) -> Tensor:
    """Cohen's d of each unit `[units]`, 0 where a unit never moves.

    Args:
        rows: of flagged inputs `[flagged, units]`.
        groups: of their answers; each is one of the trusted.
        trusted: of trusted inputs `[trusted, units]`.
        trusted_groups: of theirs.
    """
    means = means_of(trusted, trusted_groups)
    ours, theirs = within(rows, groups, means), within(trusted, trusted_groups, means)
    squares = (ours - ours.mean(dim=0)).square().sum(dim=0) + theirs.square().sum(dim=0)
    free = max(1, len(ours) - 1 + len(theirs) - len(means))
    spread = (squares / free).sqrt()
    return torch.where(spread > 0, ours.mean(dim=0) / spread.clamp_min(1e-300), 0.0)

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

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health


@options
class ActivationDifference:
    """Cohen's d of every unit between flagged and trusted inputs of the same answers."""

    least: int = option(2, "trusted inputs that an answer must have", unit="examples", ge=2)

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
        groups, counts = trusted.groups.unique(return_counts=True)
        known = groups[counts >= self.least]
        ours, theirs = (torch.isin(each.groups, known) for each in (flagged, trusted))
        if not bool(ours.any()):
            raise DataError(
                f"no flagged input has an answer that {self.least} trusted ones have; there is "
                "nothing to compare with."
            )
        some = flagged.take(np.flatnonzero(ours.numpy()))
        like = trusted.take(
            np.flatnonzero((theirs & torch.isin(trusted.groups, some.groups)).numpy())
        )
        rows, reference = (pooled_activations(each, progress) for each in (some, like))
        units = {
            place: effect(rows[place], some.groups, reference[place], like.groups) for place in rows
        }
        left_out = len(flagged) - len(some)
        problems = (
            (f"{left_out} flagged inputs have answers that too few trusted ones have.",)
            if left_out > len(flagged) / 2
            else ()
        )
        facts = {f"largest effect at {place}": float(each.max()) for place, each in units.items()}
        return Explanation(
            units, None, Health(problems), {"flagged inputs compared": float(len(some)), **facts}
        )


def effect(rows: Tensor, groups: Tensor, trusted: Tensor, trusted_groups: Tensor) -> Tensor:
    """Cohen's d of each unit `[units]`, 0 where a unit never moves.

    Args:
        rows: of flagged inputs `[flagged, units]`.
        groups: of their answers; each is one of the trusted.
        trusted: of trusted inputs `[trusted, units]`.
        trusted_groups: of theirs.
    """
    means: Mapping[int, Tensor] = {
        int(group): trusted[trusted_groups == group].mean(dim=0)
        for group in trusted_groups.unique()
    }
    ours = rows - torch.stack([means[int(group)] for group in groups])
    theirs = trusted - torch.stack([means[int(group)] for group in trusted_groups])
    squares = (ours - ours.mean(dim=0)).square().sum(dim=0) + theirs.square().sum(dim=0)
    free = max(1, len(ours) - 1 + len(theirs) - len(means))
    spread = (squares / free).sqrt()
    return torch.where(spread > 0, ours.mean(dim=0) / spread.clamp_min(1e-300), 0.0)

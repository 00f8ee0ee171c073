"""Norm clipping: no update may be longer than most are.

Equation: `w + sum_c p_c d_c min(1, b / |d_c|)` over updates `d_c` with weights `p_c`; the bound `b`
is `factor` times the median length of the updates of this round, unless one is given.
Source: Sun, Kairouz, Suresh, McMahan 2019, section 4.1; the median as the bound is own, as a fixed
one fits one network only. No noise is added.
Needs: one update. Cost: none.
Fails when: the poison needs no length, as with many patient malicious clients.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.federated.weights import averaged, difference, flat, moved
from anomech.kernel.config import option, options
from anomech.roles.federation import Update


@options
class NormClipping:
    """The mean of updates of bounded length."""

    bound: float = option(0.0, "longest update; 0 takes the median of the round", ge=0)
    factor: float = option(1.0, "of the median", gt=0)

    def combine(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """See `anomech.roles.federation.Aggregation`; updates are those of one start."""
        changes = [difference(each) for each in updates]
        lengths = torch.stack([flat(each).norm() for each in changes])
        bound = self.bound or self.factor * float(lengths.median())
        clipped = [
            {**each.weights, **moved(each.start, change, min(1.0, bound / max(length, 1e-12)))}
            for each, change, length in zip(updates, changes, lengths.tolist(), strict=True)
        ]
        return averaged(clipped, [each.images for each in updates])

"""Trimmed mean: of every number the largest and the smallest values are left out.

Equation: coordinate by coordinate, the mean of the values that remain when `trimmed` at each end
are taken away. Clients count alike: weighting would let a client that lies about its size in.
Source: Yin, Chen, Ramchandran, Bartlett 2018, definition 2.
Needs: `2 trimmed + 1` updates at least. Cost: one sort.
Fails when: clients differ by nature, or malicious ones stay inside the spread of honest ones.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.federated.weights import averaged, difference, flat, moved, shaped
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.federation import Update


@options
class TrimmedMean:
    """The mean of each number without its extremes."""

    trimmed: int = option(1, "values left out at each end", ge=0)

    def combine(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """See `anomech.roles.federation.Aggregation`; updates are those of one start.

        Raises:
            ConfigError: too few updates to leave so many out.
        """
        if len(updates) < 2 * self.trimmed + 1:
            raise ConfigError(
                f"a mean that leaves out {self.trimmed} at each end needs {2 * self.trimmed + 1} "
                f"updates, but there are {len(updates)}; lower aggregation.trimmed."
            )
        changes = [difference(each) for each in updates]
        rows = torch.stack([flat(each) for each in changes]).sort(dim=0).values
        kept = rows[self.trimmed : len(rows) - self.trimmed].mean(dim=0)
        base = averaged([each.start for each in updates], [1.0] * len(updates))
        return moved(base, shaped(kept, changes[0]))

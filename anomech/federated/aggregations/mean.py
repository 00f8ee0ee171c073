"""Mean: what clients sent, weighted by their training images.

Equation: `w = sum_c n_c w_c / sum_c n_c`.
Source: McMahan et al. 2017 (FedAvg).
Needs: one update. Cost: none.
Fails when: one client sends a long update; its weight in the mean is all that bounds it.
"""

from collections.abc import Sequence

from torch import Tensor

from anomech.federated.weights import averaged
from anomech.kernel.config import options
from anomech.roles.federation import Update


@options
class Mean:
    """The weighted mean of all models."""

    def combine(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """See `anomech.roles.federation.Aggregation`."""
        return averaged([each.weights for each in updates], [each.images for each in updates])

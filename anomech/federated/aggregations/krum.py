"""Krum: the one update that lies closest to its neighbors, or the mean of the best few.

Equation: the score of an update is the sum of its squared distances to its `n - f - 2` nearest
others; the `keep` updates of the lowest scores are averaged.
Source: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, sections 3 and 5 (Krum, and Multi-Krum for
`keep` above 1). Distances are between updates, which with a common start is between models.
Needs: `f + 3` updates at least. Cost: one product of all updates with each other.
Fails when: clients differ by nature, for then honest ones are left out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.federated.weights import averaged, difference, flat
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.federation import Update


@options
class Krum:
    """The update with the nearest neighbors."""

    malicious: int = option(1, "updates that may be malicious", ge=0)
    keep: int = option(1, "best updates that are averaged; 1 is Krum itself", ge=1)

    def combine(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """See `anomech.roles.federation.Aggregation`.

        Raises:
            ConfigError: fewer updates than that many malicious ones leave a choice among.
        """
        if len(updates) < self.malicious + 3 or self.keep > len(updates):
            raise ConfigError(
                f"krum with {self.malicious} malicious clients needs {self.malicious + 3} updates "
                f"and keeps {self.keep}, but there are {len(updates)}; lower aggregation.malicious "
                "or aggregation.keep."
            )
        rows = torch.stack([flat(difference(each)) for each in updates])
        best = krum_scores(rows, self.malicious).argsort(stable=True)[: self.keep]
        chosen = [updates[place] for place in best.tolist()]
        return averaged([each.weights for each in chosen], [each.images for each in chosen])


def krum_scores(rows: Tensor, malicious: int) -> Tensor:
    """Sum of squared distances of each row to its nearest others, `[updates]`.

    Args:
        rows: updates `[updates, numbers]`.
        malicious: f.
    """
    squared = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    squared.fill_diagonal_(torch.inf)
    return squared.sort(dim=1).values[:, : len(rows) - malicious - 2].sum(dim=1)

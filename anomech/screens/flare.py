"""FLARE: poison is an island of its own in how unusual every layer finds an example.

Belief: each layer finds some unit of a poisoned example unlikely, in a pattern that poison shares
and honest examples do not, whatever their class.
Equation: per place between layers, `min_u log N(a_u; mean_u, var_u)` over its units, with mean and
variance of the whole training set; standardized, on `components` principal directions, and
clustered by density (HDBSCAN, where one cluster is allowed, so that there are two only if they are
stabler). If there are not, the last place is left out, and so on. Suspects are all clusters but the
largest, from the most places at which there are two. `suspicion` is how much nearer an example lies
to them than to the largest, or its distance from the middle where there is one cluster.
Source: Hou, Zhao, Li, Xia 2024 (FLARE). They take the running statistics of normalizations, which
estimate the same mean and variance, and two directions of UMAP, which is no part of this project.
Needs: activations, at two places or more. Neither labels nor trusted examples.
Cost: one forward pass; clustering of all examples at once.
Fails when: poison is rarer than `least`, more than half of the set, or differs in no minimum.
"""

import numpy as np
import torch
from sklearn.cluster import HDBSCAN
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health
from anomech.screens._labels import check_labels

FEWEST = 3
"""Examples of a cluster at the least."""

TINY = 1e-6
"""Added to a variance, as a share of the largest of its place."""


@options
class Flare:
    """Clusters of how unlikely each layer's least likely unit is."""

    least: float = option(0.02, "share of the set that a cluster has at the least", gt=0, le=0.5)
    components: int = option(2, "principal directions that are clustered", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations."""
        return frozenset({Activations})

    @property
    def needs_trusted(self) -> bool:
        """Not at all."""
        return False

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`; nothing is random.

        Raises:
            DataError: not one label for each example.
            CapabilityError: fewer than two places between layers.
        """
        check_labels(observed, labels)
        found = pooled_activations(observed, progress)
        if len(found) < 2:
            raise CapabilityError("flare compares layers, and this model shows fewer than two.")
        lows = torch.stack([least_likely(each) for each in found.values()], dim=1)
        size = max(FEWEST, round(self.least * len(lows)))
        for depth in range(lows.shape[1], 1, -1):
            near = projected(lows[:, :depth], self.components)
            kinds = clusters(near, size)
            if int(kinds.max()) > 0:
                suspicion, suspects = islands(near, kinds)
                facts = {"places": float(depth), "clusters": float(int(kinds.max()) + 1)}
                return Screened(suspicion, suspects, facts=facts)
            progress("leaving out layers", lows.shape[1] - depth + 1, lows.shape[1] - 1)
        away = projected(lows, self.components).norm(dim=1)
        return Screened(away, torch.zeros(len(lows), dtype=torch.bool), Health(), facts={})


def least_likely(rows: Tensor) -> Tensor:
    """Log density `[n]` of the least likely unit of each row `[n, units]`, nats."""
    rows = rows.double()
    middle, spread = rows.mean(dim=0), rows.var(dim=0, correction=0)
    spread = spread + TINY * spread.max().clamp_min(1e-300)
    logs = -((rows - middle).square() / spread + (2 * torch.pi * spread).log()) / 2
    return logs.min(dim=1).values


def projected(rows: Tensor, components: int) -> Tensor:
    """Standardized rows `[n, d]` on their first principal directions `[n, k]`."""
    around = (rows - rows.mean(dim=0)) / rows.std(dim=0).clamp_min(1e-12)
    _, _, directions = torch.linalg.svd(around, full_matrices=False)
    return around @ directions[:components].T


def clusters(rows: Tensor, least: int) -> Tensor:
    """The cluster of each row, the largest is 0, `[n]`; -1 is none of them."""
    made = HDBSCAN(min_cluster_size=least, allow_single_cluster=True, copy=True)
    kinds = torch.from_numpy(made.fit(rows.numpy()).labels_.astype(np.int64))
    every, counts = kinds[kinds >= 0].unique(return_counts=True)
    order = every[counts.argsort(descending=True, stable=True)].tolist()
    ranked = torch.full_like(kinds, -1)
    for place, kind in enumerate(order):
        ranked[kinds == kind] = place
    return ranked


def islands(rows: Tensor, kinds: Tensor) -> tuple[Tensor, Tensor]:
    """Suspicion `[n]` and suspects of clustered rows: all clusters but the first are islands."""
    first = rows[kinds == 0].mean(dim=0)
    others = torch.stack([rows[kinds == k].mean(dim=0) for k in range(1, int(kinds.max()) + 1)])
    near = torch.cdist(rows, others).min(dim=1).values
    home = (rows - first).norm(dim=1)
    return (home - near) / (home + near).clamp_min(1e-12), kinds > 0

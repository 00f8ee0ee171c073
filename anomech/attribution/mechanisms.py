"""Telling mechanisms apart: flagged examples that respond alike share one.

Examples that fire the same trigger move the parameters the same way, whatever they show, so the
parts of their responses that trusted data leaves unexplained point the same way. Clusters are found
by average linkage on `1 - cosine` of those residuals; a cluster counts as a mechanism when its mean
inner coupling is larger than that of every one of many same-sized draws of trusted residuals.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.randomness import numpy_generator

ALONE = -1


@dataclass(frozen=True)
class Clusters:
    """Which flagged examples belong together.

    Attributes:
        labels: int64 `[examples]`, 0 for the largest mechanism; `ALONE` for none.
        cohesion: mean inner coupling of each mechanism.
        centrality: mean coupling of each example to its own mechanism `[examples]`.
    """

    labels: np.ndarray
    cohesion: list[float]
    centrality: np.ndarray


def find_mechanisms(
    residuals: Tensor,
    trusted: Tensor,
    *,
    seed: int,
    least: int = 5,
    draws: int = 200,
) -> Clusters:
    """Cluster flagged examples.

    Args:
        residuals: unexplained responses of flagged examples `[examples, features]`.
        trusted: the same of calibration examples `[calibration, features]`, the null.
        seed: of the null's draws.
        least: smallest mechanism.
        draws: same-sized trusted samples that a mechanism must beat.
    """
    count = len(residuals)
    nothing = Clusters(np.full(count, ALONE), [], np.zeros(count))
    if count < least or len(trusted) < 2:
        return nothing
    coupling = _couplings(residuals)
    null = _couplings(trusted)
    distance = np.clip(1 - coupling, 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    cut = 1 - _tightest(null, least, seed, draws)
    raw = fcluster(tree, cut, "distance")
    groups = [np.flatnonzero(raw == kind) for kind in np.unique(raw)]
    groups = [group for group in groups if len(group) >= least]
    groups = [
        group
        for group in groups
        if _inner(coupling, group) > _tightest(null, len(group), seed, draws)
    ]
    groups.sort(key=lambda group: (-len(group), int(group[0])))
    labels, centrality = np.full(count, ALONE), np.zeros(count)
    for number, group in enumerate(groups):
        labels[group] = number
        others = coupling[np.ix_(group, group)].sum(axis=1) - 1
        centrality[group] = others / (len(group) - 1)
    return Clusters(labels, [_inner(coupling, group) for group in groups], centrality)


def _couplings(rows: Tensor) -> np.ndarray:
    directions = unit(rows.float())
    return (directions @ directions.T).double().numpy()


def _inner(coupling: np.ndarray, group: np.ndarray) -> float:
    size = len(group)
    return float((coupling[np.ix_(group, group)].sum() - size) / (size * (size - 1)))


def _tightest(null: np.ndarray, size: int, seed: int, draws: int) -> float:
    """The largest mean inner coupling among random trusted samples of this size."""
    rng = numpy_generator(seed, "mechanisms", size)
    size = min(size, len(null))
    return max(_inner(null, rng.permutation(len(null))[:size]) for _ in range(draws))

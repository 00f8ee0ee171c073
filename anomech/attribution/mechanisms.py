"""Telling mechanisms apart: flagged examples that respond alike share one.

Examples that fire the same trigger move the parameters the same way, whatever they show, so the
parts of their responses that trusted data leaves unexplained point the same way. A tree is built by
average linkage on the cosine of those residuals and read from the root: a node is split where the
coupling between its halves is less than half of that within them, and small halves fall off. What
is left counts as a mechanism only if it is tighter than every group of at least that size that the
same procedure finds among trusted examples, which also form loose groups: classes, styles, twins.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import ClusterNode, linkage, to_tree
from scipy.spatial.distance import squareform
from torch import Tensor

from anomech.attribution.couplings import unit

ALONE = -1
APART = 0.5
"""A node is split where its halves couple less than this share of what they do within."""

LARGEST_NULL = 2000
"""Trusted examples compared pair by pair; more are thinned evenly."""


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


def find_mechanisms(residuals: Tensor, trusted: Tensor, *, least: int = 5) -> Clusters:
    """Cluster flagged examples.

    Args:
        residuals: unexplained responses of flagged examples `[examples, features]`.
        trusted: the same of calibration examples `[calibration, features]`.
        least: smallest mechanism.
    """
    count = len(residuals)
    labels, centrality = np.full(count, ALONE), np.zeros(count)
    if count < least or len(trusted) < least:
        return Clusters(labels, [], centrality)
    coupling = _couplings(residuals)
    groups = _split(_tree(coupling), coupling, least)
    thin = np.linspace(0, len(trusted) - 1, min(len(trusted), LARGEST_NULL)).round().astype(int)
    null = _tightest_by_size(_couplings(trusted[thin.tolist()]))
    found = [g for g in groups if _inner(coupling, g) > null[min(len(g), len(null) - 1)]]
    found.sort(key=lambda group: (-len(group), int(group.min())))
    for number, group in enumerate(found):
        labels[group] = number
        centrality[group] = (coupling[np.ix_(group, group)].sum(axis=1) - 1) / (len(group) - 1)
    return Clusters(labels, [_inner(coupling, group) for group in found], centrality)


def _couplings(rows: Tensor) -> np.ndarray:
    directions = unit(rows.float())
    return (directions @ directions.T).double().numpy()


def _tree(coupling: np.ndarray) -> ClusterNode:
    return to_tree(linkage(_condensed(coupling), "average"))


def _condensed(coupling: np.ndarray) -> np.ndarray:
    distance = np.clip(1 - coupling, 0, 2)
    np.fill_diagonal(distance, 0)
    return squareform(distance, checks=False)


def _split(root: ClusterNode, coupling: np.ndarray, least: int) -> list[np.ndarray]:
    """Groups of at least `least` examples that do not fall apart."""
    groups, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        if node.count < least:
            continue
        halves = [half for half in (node.left, node.right) if half.count >= least]
        between = 1 - node.dist  # average linkage merges at the mean distance between halves
        within = [_inner(coupling, np.array(half.pre_order())) for half in halves]
        if halves and between < APART * min(within):
            waiting += halves
        else:
            groups.append(np.array(node.pre_order()))
    return groups


def _tightest_by_size(coupling: np.ndarray) -> np.ndarray:
    """For each size, the largest mean inner coupling of any tree node at least that large."""
    count = len(coupling)
    best = np.full(count + 1, -np.inf)
    # The mean inner coupling of a node follows from those of its halves and of the pairs between.
    totals: dict[int, float] = {}
    merges = linkage(_condensed(coupling), "average")
    sizes = np.ones(2 * count - 1, int)
    for step, (left, right, distance, size) in enumerate(merges):
        left, right = int(left), int(right)
        pairs = sizes[left] * sizes[right]
        total = totals.pop(left, 0.0) + totals.pop(right, 0.0) + pairs * (1 - distance)
        node, size = count + step, int(size)
        sizes[node], totals[node] = size, total
        best[size] = max(best[size], total / (size * (size - 1) / 2))
    return np.maximum.accumulate(best[::-1])[::-1]


def _inner(coupling: np.ndarray, group: np.ndarray) -> float:
    size = len(group)
    return float((coupling[np.ix_(group, group)].sum() - size) / (size * (size - 1)))

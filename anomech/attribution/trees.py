"""Average-linkage trees of couplings, with the mean coupling inside and between their nodes."""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform


@dataclass(frozen=True)
class Tree:
    """A binary tree over n examples; nodes below n are single examples, the last is the root.

    Attributes:
        halves: int64 `[n - 1, 2]`, the two nodes that node `n + i` joins.
        between: mean coupling between those halves `[n - 1]`.
        sizes: examples under each node, int64 `[2 n - 1]`.
        within: mean coupling inside each node `[2 n - 1]`; 1 for a single example.
    """

    halves: np.ndarray
    between: np.ndarray
    sizes: np.ndarray
    within: np.ndarray

    def members(self, node: int) -> np.ndarray:
        """Examples under a node, int64."""
        leaves, waiting, count = [], [node], len(self.halves) + 1
        while waiting:
            place = waiting.pop()
            if place < count:
                leaves.append(place)
            else:
                waiting += self.halves[place - count].tolist()
        return np.array(leaves, dtype=np.int64)


def grow(coupling: np.ndarray) -> Tree:
    """The tree of couplings `[n, n]`, symmetric, in [-1, 1], of at least two examples."""
    distance = np.clip(1 - coupling, 0, 2)
    np.fill_diagonal(distance, 0)
    merges = linkage(squareform(distance, checks=False), "average")
    count = len(coupling)
    # Average linkage merges at the mean distance between halves, so a node's mean coupling follows
    # from those of its halves.
    halves, between = merges[:, :2].astype(np.int64), 1 - merges[:, 2]
    sizes = np.concatenate([np.ones(count, np.int64), merges[:, 3].astype(np.int64)])
    totals = np.zeros(2 * count - 1)
    for step, (left, right) in enumerate(halves.tolist()):
        pairs = sizes[left] * sizes[right]
        totals[count + step] = totals[left] + totals[right] + pairs * between[step]
    within = np.ones(2 * count - 1)
    joined = sizes > 1
    within[joined] = totals[joined] / (sizes[joined] * (sizes[joined] - 1) / 2)
    return Tree(halves, between, sizes, within)

"""Telling mechanisms apart: flagged examples that respond alike share one.

Examples that fire the same trigger move the parameters the same way, whatever they show, so the
parts of their responses that trusted data leaves unexplained point the same way. A tree is built by
average linkage on the cosine of those residuals and read from the root: a node is split where the
coupling between its halves is less than half of that within them, and small halves fall off.

What is left counts as a mechanism only if chance does not explain how tight it is. Among many
examples some are always close, so the null is of the same size: many draws of as many calibration
examples as are flagged say for each size how tight the tightest group is. And flags are not any
examples: they were selected for being unusual, and unusual trusted examples respond alike too. So
draws come from the most anomalous calibration examples; as only few of these are as rare as flags
are, what examples share is extrapolated from wider to narrower pools on to the budget. A group must
be tighter by more standard deviations than the tightest group of any size is in all but 5 % of
draws: that is the level for all groups of a run together. It must also be tighter than every group
of at least its size among all of these examples, since flags may be of one class, style or source
while draws are of many. (The level is kept where responses are noise;
where unusual trusted examples share a direction that grows with their rarity, the extrapolation
takes up most of it, not all.) Where fewer examples can be drawn than are flagged, sizes are
compared as shares, which is strict (the more examples, the less a given share of them scatters),
and the limit of the smallest groups rises as the tightest of more candidates does.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.trees import Tree, grow
from anomech.kernel.randomness import numpy_generator

ALONE = -1
APART = 0.5
"""A node is split where its halves couple less than this share of what they do within."""

COHESION = 0.15
"""Mean coupling that any mechanism has: less is a loose resemblance, however significant."""

LEVEL = 0.05
"""Chance that a run without mechanisms names one."""

DRAWS = 100
LARGEST_DRAW = 400
FEWEST_TRUSTED = 100
"""Calibration examples that are drawn from, at least, and twice as many as are flagged."""

LARGEST_NULL = 2000
"""Trusted examples compared pair by pair; of more the most anomalous are taken."""


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


@dataclass(frozen=True)
class Null:
    """How tight groups of draws without a mechanism are.

    Attributes:
        count: examples of each draw.
        limits: for each size up to it the mean inner coupling that a mechanism exceeds.
        known: the same of groups that all the examples drawn from form, for each size up to their
            number.
    """

    count: int
    limits: np.ndarray
    known: np.ndarray

    def limit(self, size: int, among: int, least: int) -> float:
        """What a group of this size among so many examples must exceed."""
        if size < least or not len(self.limits):
            return np.inf
        known = float(self.known[size]) if size < len(self.known) else -np.inf
        if among <= self.count:
            return max(known, float(self.limits[size]))
        alike = int(size * self.count / among)
        if alike >= least:
            return max(known, float(self.limits[alike]))
        rise = max(1.0, _tightest(size, among) / _tightest(least, self.count))
        return max(known, rise * float(self.limits[least]))


def find_mechanisms(
    residuals: Tensor, trusted: Tensor, *, calibration: int, budget: float, least: int = 5
) -> Clusters:
    """Cluster flagged examples.

    Args:
        residuals: unexplained responses of flagged examples `[examples, features]`.
        trusted: the same of calibration examples, the most anomalous first `[trusted, features]`.
        calibration: how many calibration examples these are the most anomalous of.
        budget: share of normal examples that are flagged.
        least: smallest mechanism.
    """
    count = len(residuals)
    labels, centrality = np.full(count, ALONE), np.zeros(count)
    if count < least or len(trusted) < 4 * least:
        return Clusters(labels, [], centrality)
    coupling = _couplings(residuals)
    null = fit_null(trusted, count, calibration=calibration, budget=budget, least=least)
    tree = grow(coupling)
    found = [
        np.sort(tree.members(node))
        for node in _split(tree, least)
        if tree.within[node] > null.limit(int(tree.sizes[node]), count, least)
    ]
    found.sort(key=lambda group: (-len(group), int(group.min())))
    for number, group in enumerate(found):
        labels[group] = number
        centrality[group] = (coupling[np.ix_(group, group)].sum(axis=1) - 1) / (len(group) - 1)
    return Clusters(labels, [float(centrality[group].mean()) for group in found], centrality)


def most_anomalous(scores: Tensor) -> np.ndarray:
    """Places of the calibration examples `[calibration]` that the null is learned from, in order.

    An example without a finite score is no example of anything and comes last.
    """
    ranked = torch.where(scores.isfinite(), scores, -torch.inf).double().numpy()
    return np.argsort(-ranked, kind="stable")[:LARGEST_NULL]


def fit_null(trusted: Tensor, flagged: int, *, calibration: int, budget: float, least: int) -> Null:
    """Learn how tight groups among flagged examples are by chance.

    Args:
        trusted: as for `find_mechanisms`.
        flagged: examples that are clustered.
        calibration: as there.
        budget: as there.
        least: smallest mechanism.
    """
    # A draw takes half of its pool at most, so that draws differ; the pool half of all, so that
    # there is a larger one to compare it with.
    pool = min(max(FEWEST_TRUSTED, 2 * flagged), len(trusted) // 2)
    count = min(flagged, LARGEST_DRAW, pool // 2)
    if count < least:
        return Null(count, np.empty(0), np.empty(0))
    wider = min(4 * pool, len(trusted))
    coupling = _couplings(trusted[:wider])
    tightest = _drawn(coupling[:pool, :pool], count)[:, least:]
    middle, spread = tightest.mean(axis=0), tightest.std(axis=0, ddof=1).clip(1e-6)
    farthest = ((tightest - middle) / spread).max(axis=1)
    strict = float(np.quantile(farthest, 1 - LEVEL, method="higher"))
    # How much more examples share with every halving of what they are the most anomalous of.
    shared = _shared(middle)
    before = _shared(_drawn(coupling, count)[:, least:].mean(axis=0))
    gain = ((shared - before) / np.log2(wider / pool)).clip(0)
    halvings = max(0.0, np.log2(pool / calibration / budget))
    limits = _coupled(shared + halvings * gain).clip(middle) + strict * spread
    limits = np.concatenate([np.full(least, np.inf), np.maximum(limits, COHESION)])
    return Null(count, limits, _tightest_by_size(grow(coupling)))


def _tightest(size: int, among: int) -> float:
    """How the tightest of all groups of one size grows with chance, up to a factor.

    There are about `(e n / s)^s` groups, each the mean of `s (s - 1) / 2` couplings, so the largest
    of these means is about `sqrt(log(e n / s) / s)`.
    """
    return math.sqrt(math.log(math.e * among / size) / size)


def _shared(coupling: np.ndarray) -> np.ndarray:
    """Length of what responses share over what each has of its own, for a mean coupling.

    It grows linearly where anomalous examples differ from others by more of one direction.
    """
    held = coupling.clip(0, 1 - 1e-6)
    return np.sqrt(held / (1 - held))


def _coupled(shared: np.ndarray) -> np.ndarray:
    """The inverse of `_shared`."""
    return shared**2 / (1 + shared**2)


def _drawn(coupling: np.ndarray, count: int) -> np.ndarray:
    """Tightness by size of draws of `count` examples from a pool `[DRAWS, count + 1]`."""
    rng = numpy_generator(0, "mechanisms", str(count), str(len(coupling)))
    drawn = np.empty((DRAWS, count + 1))
    for draw in range(DRAWS):
        some = rng.choice(len(coupling), count, replace=False)
        drawn[draw] = _tightest_by_size(grow(coupling[np.ix_(some, some)]))
    return drawn


def _couplings(rows: Tensor) -> np.ndarray:
    directions = unit(rows.float())
    return (directions @ directions.T).double().numpy()


def _split(tree: Tree, least: int) -> list[int]:
    """Nodes of at least `least` examples that do not fall apart."""
    count = len(tree.halves) + 1
    groups, waiting = [], [2 * count - 2]
    while waiting:
        node = waiting.pop()
        if tree.sizes[node] < least:
            continue
        halves = [half for half in tree.halves[node - count].tolist() if tree.sizes[half] >= least]
        if halves and tree.between[node - count] < APART * min(tree.within[halves]):
            waiting += halves
        else:
            groups.append(node)
    return groups


def _tightest_by_size(tree: Tree) -> np.ndarray:
    """For each size, the largest mean inner coupling of any node at least that large."""
    best = np.full(len(tree.halves) + 2, -np.inf)
    np.maximum.at(best, tree.sizes, tree.within)
    return np.maximum.accumulate(best[::-1])[::-1]

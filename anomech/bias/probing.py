"""Whether states of a model tell the group, and whether they still do when it was taken out.

A linear probe is trained on half of the examples and asked about the other half, once each way. Its
control is the same probe for groups that were dealt out anew within each label: what it reaches
beyond that is in the states and not in the labels (after Hewitt and Liang 2019). The direction of
the probe is then taken out and a second one trained (one step of Ravfogel et al. 2020): what it
still reaches is told by proxies.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, silhouette_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from anomech.kernel.randomness import key, numpy_generator

STRENGTH = 0.1
"""Inverse of the penalty of probes: states have more units than there are examples at times."""

COMPARED = 1000
"""Examples by which a silhouette is measured, at the most."""


@dataclass(frozen=True)
class Probed:
    """What states of one place tell of the group.

    Attributes:
        told: balanced accuracy of a linear probe; one over the number of groups is chance.
        control: the same for groups that were dealt out anew within each label.
        left: the same of a second probe, when the directions of the first were taken out.
        silhouette: how far groups are clusters, in [-1, 1].
    """

    told: float
    control: float
    left: float
    silhouette: float


def probe(rows: Tensor, groups: np.ndarray, labels: np.ndarray, *, seed: int) -> Probed:
    """Probe states `[n, units]` for groups int64 `[n]`; every group needs two examples at least."""
    white = StandardScaler().fit_transform(rows.double().numpy())
    halves = _halves(groups, seed)
    rng, dealt = numpy_generator(seed, "control"), groups.copy()
    for label in np.unique(labels):
        here = np.flatnonzero(labels == label)
        dealt[here] = groups[rng.permutation(here)]
    chosen = rng.permutation(len(white))[:COMPARED]
    kinds = groups[chosen]
    apart = silhouette_score(white[chosen], kinds) if 1 < len(set(kinds)) < len(kinds) else 0.0
    return Probed(
        told=_reached(white, groups, halves, seed),
        control=_reached(white, dealt, halves, seed),
        left=_reached(white, groups, halves, seed, without=True),
        silhouette=float(apart),
    )


def _reached(
    rows: np.ndarray, groups: np.ndarray, halves: np.ndarray, seed: int, *, without: bool = False
) -> float:
    """Mean balanced accuracy of probes on the half they have not seen."""
    reached = []
    for half in (False, True):
        learned = halves == half
        if len(np.unique(groups[learned])) < 2:
            continue
        own, other = rows[learned], rows[~learned]
        if without:
            directions = _trained(own, groups[learned], seed).coef_
            basis = np.linalg.svd(directions, full_matrices=False)[2]
            own, other = (each - each @ basis.T @ basis for each in (own, other))
        said = _trained(own, groups[learned], seed).predict(other)
        reached.append(balanced_accuracy_score(groups[~learned], said))
    return float(np.mean(reached)) if reached else 0.0


def _trained(rows: np.ndarray, groups: np.ndarray, seed: int) -> LogisticRegression:
    made = LogisticRegression(
        C=STRENGTH, max_iter=500, class_weight="balanced", random_state=key(seed, "probe") % 2**32
    )
    return made.fit(rows, groups)


def _halves(groups: np.ndarray, seed: int) -> np.ndarray:
    """Which half each example is in, bool `[n]`; every group in both."""
    rng, second = numpy_generator(seed, "probe halves"), np.zeros(len(groups), dtype=bool)
    for group in np.unique(groups):
        here = rng.permutation(np.flatnonzero(groups == group))
        second[here[: len(here) // 2]] = True
    return second


def outside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of all salience that lies outside of the masks, `[n]`.

    Args:
        maps: salience `[n, h, w]`, at least 0.
        masks: where the object is, bool `[n, h, w]`.
    """
    flat, inside = maps.double().flatten(1), masks.flatten(1)
    whole = flat.sum(dim=1)
    share = (flat * ~inside).sum(dim=1) / whole.clamp_min(1e-12)
    return torch.where(whole > 0, share, torch.zeros_like(share))

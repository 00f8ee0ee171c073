"""Split-conformal p-values: how often normal traffic would score at least this high.

`p = (1 + #{calibration scores >= score}) / (n + 1)`. If normal inputs are exchangeable with the
calibration examples, `P(p <= alpha) <= alpha` whatever the method and the model (Vovk et al. 2005).
Given one calibration set, the false-positive rate itself is random, `Beta(k, n + 1 - k)` with
`k = floor(alpha (n + 1))`: with n = 1,000 a budget of 1 % means 1.0 % give or take 0.3 %.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.calibration.strata import Strata, pooled, stratify


@dataclass(frozen=True)
class Calibration:
    """Scores of trusted examples that were kept out of the anchors.

    Attributes:
        scores: `[n]`; higher is more anomalous.
        groups: int64 `[n]` for p-values within strata of classes, or None to pool.
        least: examples a stratum must have; see `anomech.calibration.strata`.
    """

    scores: Tensor
    groups: Tensor | None = None
    least: int = 0

    @property
    def strata(self) -> Strata:
        """Which classes are judged by which examples."""
        if self.groups is None:
            return pooled(len(self.scores))
        return stratify(self.groups, self.least)

    def p_values(self, scores: Tensor, groups: Tensor | None = None) -> Tensor:
        """p-values `[queries]` of scores `[queries]`, float64 in (0, 1]."""
        if self.groups is None or groups is None:
            return tail_probability(self.scores, scores)
        strata = self.strata
        mine, theirs = strata.of(self.groups), strata.of(groups)
        result = torch.ones(len(scores), dtype=torch.float64)
        for stratum in theirs.unique().tolist():
            chosen = theirs == stratum
            result[chosen] = tail_probability(self.scores[mine == stratum], scores[chosen])
        return result


def tail_probability(reference: Tensor, scores: Tensor) -> Tensor:
    """`(1 + #{reference >= score}) / (n + 1)`; ties count against the query."""
    ordered = reference.double().sort().values
    below = torch.searchsorted(ordered, scores.double().contiguous(), right=False)
    return (1 + len(ordered) - below).double() / (len(ordered) + 1)


def rank(count: int, budget: float) -> int:
    """The largest k with `k / (count + 1) <= budget`, compared as p-values are, to the last bit."""
    k = math.floor(budget * (count + 1))
    if (k + 1) / (count + 1) <= budget:
        return k + 1
    return k - 1 if k / (count + 1) > budget else k


def needed(budget: float) -> int:
    """Calibration examples without which no p-value can reach the budget."""
    count = math.ceil(1 / budget) - 1
    if count > 0 and rank(count - 1, budget):
        return count - 1
    return count if rank(count, budget) else count + 1


def threshold(scores: Tensor, budget: float) -> float | None:
    """The lowest score that is flagged at this budget, or None if no score can be."""
    k = rank(len(scores), budget)
    if k < 1:
        return None
    # p <= budget needs fewer than k calibration scores at or above: strictly above the k-th.
    return float(scores.double().sort(descending=True).values[k - 1])

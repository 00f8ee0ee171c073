"""Small classes that trusted examples explain badly, judged beside their own examples.

A class with few anchors is explained worse whatever the input, and where it is the target of a
backdoor its honest inputs are unusual besides. Among all calibration examples nearly all its inputs
would be flagged; leaving it without verdicts is what an attacker hopes for who aims at a rare
class. So an input of a class with m calibration examples is judged by its *lead* over them,

    A(x) = s(x) - max_i s_i,

and its p-value says how often normal inputs lead as far over m examples of their class:

    p = (1 + sum_j P_j(A)) / (n + 1),

where P_j is the share of all draws of m others of its class that the calibration example j leads by
A or more, in closed form. How unusual a class is as a whole cancels out. The examples j are those
of the smallest classes with more than m, `ENOUGH` times as many as the budget needs; if there are
not so many, of the largest others, whose examples lead over fewer and so farther. The budget is
kept if leads are alike between these classes, so on average and not within each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from anomech.calibration.conformal import needed, threshold

ENOUGH = 4
"""How many times the examples without which nothing could be flagged."""


@dataclass(frozen=True)
class Apart:
    """Calibration examples, and the classes that are judged beside their own.

    Attributes:
        scores: of calibration examples; higher is more anomalous `[calibration]`.
        groups: their classes, int64.
        odd: the classes that are judged so, int64.
        budget: false-positive rate that flags may have.
    """

    scores: Tensor
    groups: Tensor
    odd: Tensor
    budget: float

    def p_values(self, scores: Tensor, groups: Tensor) -> Tensor:
        """Of inputs of odd classes, float64 `[inputs]`."""
        result = torch.ones(len(scores), dtype=torch.float64)
        for group in groups.unique().tolist():
            some, own = groups == group, self._classes[group]
            leads = scores[some].double().numpy() - own[-1]
            result[some] = torch.from_numpy(rarity(leads, len(own), self._pool(len(own))))
        return result

    def level(self, scores: Tensor, groups: Tensor) -> Tensor:
        """Scores of inputs of odd classes, shifted so that the pooled threshold goes for them."""
        limit, result = threshold(self.scores, self.budget), scores.double().clone()
        assert limit is not None, "odd classes are judged where the budget can be kept"
        for group in groups.unique().tolist():
            own = self._classes[group]
            result[groups == group] += limit - float(own[-1]) - self._most[len(own)]
        return result

    @cached_property
    def _classes(self) -> dict[int, np.ndarray]:
        """Ascending scores of each class."""
        return {
            group: self.scores[self.groups == group].double().sort().values.numpy()
            for group in self.groups.unique().tolist()
        }

    @cached_property
    def _most(self) -> dict[int, float]:
        """The largest lead that is not flagged, by how many examples it is over."""
        counts = {len(self._classes[group]) for group in self.odd.tolist()}
        return {count: largest(count, self._pool(count), self.budget) for count in counts}

    def _pool(self, count: int) -> list[np.ndarray]:
        """The classes whose leads are counted for one with so many examples."""
        able = sorted((own for own in self._classes.values() if len(own) > 1), key=len)
        larger = [own for own in able if len(own) > count]
        smaller = [own for own in reversed(able) if len(own) <= count]
        kept, have = list[np.ndarray](), 0
        for own in (*larger, *smaller):
            if have < ENOUGH * needed(self.budget):
                kept.append(own)
                have += len(own)
        return kept


def apart_from(scores: Tensor, groups: Tensor, odd: Tensor, budget: float) -> Apart | None:
    """Odd classes as they can be judged apart; None if there are none, or leads are too few.

    Args:
        scores: of all calibration examples `[calibration]`.
        groups: their classes.
        odd: classes whose examples look unusual among all.
        budget: that a lead must be rare enough for.
    """
    _, counts = groups.unique(return_counts=True)
    judged = odd[torch.isin(odd, groups)]
    if int(counts[counts > 1].sum()) < needed(budget) or not len(judged):
        return None
    return Apart(scores, groups, judged, budget)


def rarity(leads: np.ndarray, count: int, pool: Sequence[np.ndarray]) -> np.ndarray:
    """p-values of leads over so many examples of a class `[leads]`.

    Args:
        leads: of inputs `[leads]`.
        count: of examples that they lead over.
        pool: ascending scores of classes, two or more each.
    """
    total = np.ones(len(leads))
    for own in pool:
        for place, score in enumerate(own):
            others = np.delete(own, place)
            led = np.searchsorted(others, score - leads, side="right")
            total += _share(led, len(others), min(count, len(others)))
    return total / (sum(map(len, pool)) + 1)


def largest(count: int, pool: Sequence[np.ndarray], budget: float) -> float:
    """The largest lead over so many that is not flagged; see `rarity`."""
    steps = np.unique(np.concatenate([(own[:, None] - own[None]).ravel() for own in pool]))
    common = rarity(steps, count, pool) > budget
    # What no example leads by is the rarest of all, and of the steps the first is the most common.
    return float(steps[common][-1]) if common.any() else float(steps[0]) - 1.0


def _share(led: np.ndarray, others: int, drawn: int) -> np.ndarray:
    """Share of draws of so many of the others that are all among the led, `C(led, m) / C(n, m)`."""
    found = np.exp(
        gammaln(led + 1)
        - gammaln(np.maximum(led - drawn, 0) + 1)
        - gammaln(others + 1)
        + gammaln(others - drawn + 1)
    )
    return np.where(led >= drawn, found, 0.0)

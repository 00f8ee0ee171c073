"""Small classes that trusted examples explain badly, judged beside their own examples.

A class with few anchors is explained worse whatever the input, and where it is the target of a
backdoor its honest inputs are unusual besides. Among all calibration examples nearly all its inputs
would be flagged; leaving it without verdicts is what an attacker hopes for who aims at a rare
class. So an input of such a class is judged by its *lead*:

    A(x) = s(x) - max of s over the calibration examples of its class other than x

and its p-value is that of the lead among those of all calibration examples of small classes,
`(1 + #{A_j >= A(x)}) / (n + 1)`. How unusual its class is as a whole cancels out. Small classes
alone count, since a lead over few examples is larger than one over many. An input has one example
more to lead over than an example has, which makes its p-value a little too large. The budget is
kept on average over small classes, if their leads are alike, not within each.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from anomech.calibration.conformal import rank, tail_probability, threshold


@dataclass(frozen=True)
class Apart:
    """Calibration examples of small classes.

    Attributes:
        scores: higher is more anomalous `[n]`.
        groups: their classes, int64 `[n]`.
        odd: the classes that are judged so; each has an example here.
    """

    scores: Tensor
    groups: Tensor
    odd: Tensor

    @cached_property
    def leads(self) -> Tensor:
        """Of the examples over the others of their class, float64 `[those with others]`."""
        found = []
        for group in self.groups.unique().tolist():
            own = self.scores[self.groups == group].double().sort(descending=True).values
            if len(own) > 1:
                found.append(own - torch.cat([own[1:2], own[:1].expand(len(own) - 1)]))
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)

    def p_values(self, scores: Tensor, groups: Tensor) -> Tensor:
        """Of inputs of odd classes, float64 `[inputs]`."""
        return tail_probability(self.leads, self._leads_of(scores, groups))

    def level(self, scores: Tensor, groups: Tensor, pooled: Tensor, budget: float) -> Tensor:
        """The scores of inputs, shifted so that one threshold goes for all classes `[inputs]`.

        Args:
            scores: of inputs of odd classes `[inputs]`.
            groups: their classes.
            pooled: scores of all calibration examples, whose threshold it is.
            budget: of that threshold.
        """
        ours, theirs = threshold(self.leads, budget), threshold(pooled, budget)
        assert ours is not None, "there are enough for the budget"
        assert theirs is not None, "and more than enough of all"
        return self._leads_of(scores, groups) - ours + theirs

    def _leads_of(self, scores: Tensor, groups: Tensor) -> Tensor:
        best = torch.full((len(scores),), torch.inf, dtype=torch.float64)
        for group in groups.unique().tolist():
            best[groups == group] = float(self.scores[self.groups == group].max())
        return scores.double() - best


def apart_from(
    scores: Tensor, groups: Tensor, small: Tensor, odd: Tensor, budget: float
) -> Apart | None:
    """Odd classes as they can be judged apart; None if there are none, or leads are too few.

    Args:
        scores: of all calibration examples `[calibration]`.
        groups: their classes.
        small: classes with few anchors, the odd ones among them.
        odd: classes whose examples look unusual among all.
        budget: that a lead must be rare enough for.
    """
    kept = torch.isin(groups, small)
    found = Apart(scores[kept], groups[kept], odd[torch.isin(odd, groups)])
    return found if len(found.odd) and rank(len(found.leads), budget) >= 1 else None

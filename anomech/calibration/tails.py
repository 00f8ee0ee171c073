"""Beyond the largest calibration score: a smooth tail, for ranking what p-values cannot tell apart.

A conformal p-value is at least `1 / (n + 1)`, so all inputs beyond the calibration scores have the
same one. Whether one of them is more unusual than another, or by which of several views, is told by
extrapolation: excesses over a high threshold follow a generalized Pareto distribution (Balkema and
de Haan 1974, Pickands 1975), fitted by probability-weighted moments (Hosking and Wallis 1987). An
extrapolation promises no error rate: decisions stay with p-values.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SHARE = 0.1
FEWEST = 10
"""The tail is the highest tenth of the scores, of at least so many."""

HEAVIEST = 0.5
"""Largest shape: probability-weighted moments are of little use beyond it."""


@dataclass(frozen=True)
class SmoothTail:
    """How surprising scores are, on one scale for all methods and views.

    Attributes:
        body: calibration scores in ascending order, float64 `[n]`.
        start: where the tail begins.
        beyond: share of the scores above it.
        scale: of the excesses.
        shape: of the excesses, 0 (exponential) or heavier, so that no score is the end.
    """

    body: Tensor
    start: float
    beyond: float
    scale: float
    shape: float

    def surprise(self, scores: Tensor) -> Tensor:
        """`-log P(a calibration score is at least this high)` `[queries]`, nats.

        It rises with the score everywhere, and strictly within the tail.
        """
        values = scores.double().contiguous()
        rank = torch.searchsorted(self.body, values, right=False)
        body = -((1 + len(self.body) - rank) / (len(self.body) + 1)).log()
        first = -torch.tensor(self.beyond, dtype=torch.float64).log()
        excess = (values - self.start).clamp_min(0) / self.scale
        if self.shape > 0:
            tail = first + torch.log1p(self.shape * excess) / self.shape
        else:
            tail = first + excess
        return torch.where(values > self.start, tail, body.clamp_max(float(first)))


def fit_smooth_tail(scores: Tensor, *, heaviest: float = HEAVIEST) -> SmoothTail:
    """Fit to calibration scores `[n]`, finite, at least one.

    Args:
        scores: of calibration examples.
        heaviest: the largest shape; 0 makes every tail exponential.
    """
    body = scores.double().sort().values
    if len(body) < 2:
        return SmoothTail(body, float(body[-1]), 1 / 2, 1.0, 0.0)
    count = min(max(FEWEST, round(SHARE * len(body))), len(body) - 1)
    start = float(body[-count - 1])
    excess = body[-count:] - start
    scale, shape = _moments(excess, heaviest)
    return SmoothTail(body, start, count / (len(body) + 1), scale, shape)


def _moments(excess: Tensor, heaviest: float) -> tuple[float, float]:
    """Scale and shape by probability-weighted moments of ascending excesses `[tail]`.

    With `a0 = E[x]` and `a1 = E[x (1 - F(x))]` of a generalized Pareto distribution,
    `shape = 2 - a0 / (a0 - 2 a1)` and `scale = 2 a0 a1 / (a0 - 2 a1)`.
    """
    count = len(excess)
    weights = (count - torch.arange(1, count + 1, dtype=torch.float64) + 0.35) / count
    mean, weighted = float(excess.mean()), float((weights * excess).mean())
    gap = mean - 2 * weighted
    least = max(1e-9 * float(excess.abs().max()), 1e-12)
    if gap <= 0:  # no heavier than any; an exponential tail is the lightest that has no end
        return max(mean, least), 0.0
    shape = min(2 - mean / gap, heaviest)
    if shape <= 0:
        return max(mean, least), 0.0
    # With the shape held, the mean decides the scale.
    return max(mean * (1 - shape), least), shape

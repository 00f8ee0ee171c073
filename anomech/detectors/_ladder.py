"""The ladder of twins: as strong pushes as this network survives, and no stronger.

A weak push forgets nothing, and one that the network does not survive tells trusted answers from no
others. Where that is differs from network to network, so rungs are tried from the middle upwards
and the ladder is filled up from below. What a network survives is seen on trusted examples alone.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import Progress
from anomech.learning.descent import BACKWARD
from anomech.roles.detector import ObservedExamples
from anomech.roles.tracer import TraceSource
from anomech.tracing.twins import Twins


@options
class Ladder:
    """Which twins are made; see `anomech describe tracer twins`."""

    start: float = option(0.16, "first rung: share of every tensor's length", gt=0, le=1)
    highest: float = option(0.64, "no rung is higher", gt=0, le=1)
    lowest: float = option(0.02, "no rung is lower", gt=0, le=1)
    rungs: int = option(3, "rungs at the most; 0 makes no twins", ge=0)
    generations: int = option(
        0, "the same where answers are generated: a twin takes longer there than all else", ge=0
    )
    steps: int = option(60, "steps of descent a twin", ge=1)
    batch: int = option(64, "examples a step", unit="examples", ge=2)
    alive: float = option(
        0.75,
        "share of held-out examples, rightly and surely answered, that a twin must still answer so",
        gt=0,
    )


@dataclass(frozen=True)
class Climb:
    """Twins of every fold, from the weakest push to the strongest.

    Attributes:
        twins: of each fold, one a rung.
        drops: log-odds that held-out trusted examples lose at them, float64 `[n, rungs]`.
        passes: forward passes of one example that all rungs took, those that did not hold too.
    """

    twins: tuple[tuple[TraceSource, ...], ...]
    drops: Tensor
    passes: float


def climb(
    ladder: Ladder,
    trusted: ObservedExamples,
    right: Tensor,
    judged_by: Tensor,
    *,
    seed: int,
    progress: Progress,
) -> Climb | None:
    """Make the twins; None if the network survives no push.

    Args:
        ladder: which.
        trusted: all trusted examples.
        right: which are answered as labeled, bool `[n]`.
        judged_by: the fold that judges each; it is taught by all others, int64 `[n]`.
        seed: of the order of lessons.
        progress: told about the steps.
    """
    found: dict[float, _Rung] = {}
    tried: list[float] = []
    # A classifier is sure of nearly all that it answers rightly, a language model of perhaps half.
    least = ladder.alive * _sure(trusted.log_odds, right)

    def survives(rate: float) -> bool:
        tried.append(rate)
        how = Twins(rates=(rate,), steps=ladder.steps, batch=ladder.batch)
        rung = _pushed(how, trusted, judged_by, seed, progress)
        if rung is None or _sure(trusted.log_odds - rung.drops, right) < least:
            return False
        found[rate] = rung
        return True

    rate = ladder.start
    while len(found) < ladder.rungs and rate <= ladder.highest and survives(rate):
        rate *= 2
    rate = ladder.start / 2
    while len(found) < ladder.rungs and rate >= ladder.lowest:
        survives(rate)
        rate /= 2
    if not found:
        return None
    rungs = sorted(found)
    folds = len(found[rungs[0]].twins)
    steps = BACKWARD * ladder.steps * min(ladder.batch, len(trusted)) * folds
    return Climb(
        tuple(tuple(found[rate].twins[fold] for rate in rungs) for fold in range(folds)),
        torch.stack([found[rate].drops for rate in rungs], dim=1),
        float(len(tried) * (steps + len(trusted))),
    )


class _Rung(NamedTuple):
    """One push: the twin of each fold, and log-odds that trusted examples lose `[n]`, held out."""

    twins: list[TraceSource]
    drops: Tensor


def _pushed(
    how: Twins, trusted: ObservedExamples, judged_by: Tensor, seed: int, progress: Progress
) -> _Rung | None:
    """Push a twin of each fold along what all others teach; None if one breaks."""
    twins, drops = list[TraceSource](), torch.empty_like(trusted.log_odds)
    for number in judged_by.unique().tolist():
        mine = judged_by == number
        judged = trusted.take(_places(mine))
        try:
            twin = trusted.take(_places(~mine)).source(how, seed=seed, progress=progress)
            losses = twin(judged.examples, judged.answers, progress).values[:, 0].double()
        except Inconclusive:
            return None
        twins.append(twin)
        drops[mine] = judged.log_odds + losses
    return _Rung(twins, drops)


def _sure(log_odds: Tensor, right: Tensor) -> float:
    """Share of rightly answered examples whose answer is likelier than all others together."""
    return float((log_odds > 0)[right].double().mean())


def _places(mask: Tensor) -> np.ndarray:
    return torch.nonzero(mask)[:, 0].numpy()

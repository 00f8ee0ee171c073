"""Evaluating examples at draws, one draw after the other or several in one pass.

Several draws in one pass (`torch.func.vmap` over stacked parameters) save the fixed cost of a call
and lose the fast path of shared convolution weights: they pay for tiny models and few examples, and
cost several times as much for a residual network. So draws go one by one unless a plan asks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from anomech.kernel.task import Task
from anomech.kernel.types import Examples, Overlay, Response

Observable = Literal["loss", "log_odds"]
Draws = Callable[[int], Iterator[Overlay]]
"""Gives the same draws of a chain at every call, so that any example can be traced later."""

HELD = 2048
"""Examples kept in memory from draw to draw; what is over is loaded anew at every draw."""


@dataclass(frozen=True)
class Walk:
    """Everything that determines the observations of one chain; it survives pickling."""

    task: Task
    draws: Draws
    count: int
    observable: Observable
    together: int
    examples: Examples
    answers: Tensor


@torch.no_grad()
def walk(
    some: Walk,
    overlays: Iterator[Overlay],
    count: int,
    progress: Callable[[int], None],
    *,
    measure: bool = False,
) -> tuple[Tensor, float]:
    """Observables `[examples, count]` at the next draws, and the largest relative distance.

    Args:
        some: task and examples.
        overlays: the draws; `count` are taken.
        count: draws.
        progress: told how many draws are done.
        measure: whether distances are wanted; zero otherwise.
    """
    values, farthest = torch.empty(len(some.examples), count), 0.0
    spans = list(some.task.passes(some.examples))
    held = _held(some.examples, spans)
    draw = 0
    while draw < count:
        block = list(islice(overlays, min(some.together, count - draw)))
        if measure:
            farthest = max(farthest, *(distance(some.task, overlay) for overlay in block))
        for number, places in enumerate(spans):
            index = torch.from_numpy(places)
            raw = held[number] if number < len(held) else some.examples.load(places)
            found = observed_at(some.task, block, raw, some.answers[index], some.observable)
            values[index, draw : draw + len(block)] = found.cpu().float()
        draw += len(block)
        progress(draw)
    return values, farthest


def _held(examples: Examples, spans: list[np.ndarray]) -> list[Any]:
    """The batches of the first passes, read once; reading may mean decoding files."""
    before = np.cumsum([0, *map(len, spans)])
    return [
        examples.load(places)
        for places, start in zip(spans, before[:-1].tolist(), strict=True)
        if start < HELD
    ]


def observed_at(
    task: Task, overlays: list[Overlay], raw: Any, answers: Tensor, observable: Observable
) -> Tensor:
    """The observable `[batch, draws]` of one batch, all draws in one pass if there are several."""

    def at(overlay: Overlay) -> Tensor:
        return observed(task.respond(overlay, raw, answers), observable)

    if len(overlays) == 1:
        return at(overlays[0])[:, None]
    stacked = {name: torch.stack([each[name] for each in overlays]) for name in overlays[0]}
    return vmap(at)(stacked).T


def can_stack(
    task: Task, overlays: list[Overlay], raw: Any, answers: Tensor, observable: Observable
) -> bool:
    """Whether a model answers several draws in one pass as it does one by one."""
    alone = [observed_at(task, [overlay], raw, answers, observable) for overlay in overlays]
    try:
        both = observed_at(task, overlays, raw, answers, observable)
    except Exception:  # whatever a user's forward does that cannot be stacked, the answer is no
        return False
    return torch.allclose(both, torch.cat(alone, dim=1), rtol=1e-3, atol=1e-4, equal_nan=True)


def observed(response: Response, observable: Observable) -> Tensor:
    """Loss, or minus the log-odds, `[batch]`; both grow as the answer loses support."""
    return response.losses if observable == "loss" else -response.log_odds


def distance(task: Task, overlay: Overlay) -> float:
    """Distance of a draw from the trained point over the length of the latter."""
    moved = sum(
        float(((overlay[name] - tensor).double() ** 2).sum())
        for name, tensor in task.watched.items()
    )
    length = sum(float((tensor.double() ** 2).sum()) for tensor in task.watched.values())
    return float((moved / max(length, 1e-30)) ** 0.5)

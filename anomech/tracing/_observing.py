"""Evaluating examples at draws, one draw after the other or several in one pass.

Several draws in one pass (`torch.func.vmap` over stacked parameters) save the fixed cost of a call
and lose the fast path of shared convolution weights. On one CPU thread a pass of 16 examples took,
a draw: 0.22 ms alone and 0.05 ms by sixteens for a small perceptron; 0.44 and 0.12 ms for two
convolutions on 8x8 images, but 1.1 and 1.7 ms with 256 examples; 11 and 17 ms for a ResNet-14 on
32x32 images, 78 and 310 ms with 128. So draws go one by one unless a plan says otherwise.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from anomech.types import Examples, Overlay, Response, Task

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
    held = _held(some.examples, some.task.batch)
    draw = 0
    while draw < count:
        block = list(islice(overlays, min(some.together, count - draw)))
        if measure:
            farthest = max(farthest, *(distance(some.task, overlay) for overlay in block))
        for start in range(0, len(some.examples), some.task.batch):
            place = slice(start, min(start + some.task.batch, len(some.examples)))
            raw = held[start] if start in held else _load(some.examples, place)
            found = observed_at(some.task, block, raw, some.answers[place], some.observable)
            values[place, draw : draw + len(block)] = found.cpu()
        draw += len(block)
        progress(draw)
    return values, farthest


def _held(examples: Examples, size: int) -> dict[int, Any]:
    """The first batches by where they start, read once; reading may mean decoding files."""
    whole = range(0, min(len(examples), HELD), size)
    return {
        start: _load(examples, slice(start, min(start + size, len(examples)))) for start in whole
    }


def _load(examples: Examples, place: slice) -> Any:
    return examples.load(np.arange(place.start, place.stop))


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

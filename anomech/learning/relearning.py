"""Relearning: a twin of the model goes on learning trusted examples; what comes out is an overlay.

The model itself does not move. What is learned is laid over it, so that a repair, a twin that is
compared with the model, and an expert that has forgotten are one and the same loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.roles.task import Task, Training, able

BACKWARD = 3
"""Forward passes that a step costs for each example: one forward, and a backward as two."""


@options
class Relearning:
    """How a twin learns: gradient descent with momentum at a constant rate."""

    epochs: int = option(10, "passes over the examples", unit="epochs", ge=1)
    batch: int = option(32, "examples in a step", unit="examples", ge=2)
    rate: float = option(0.01, "learning rate", gt=0)
    momentum: float = option(0.9, "share of the last step that is repeated", ge=0, le=0.999)
    weight_decay: float = option(5e-4, "weight decay", ge=0)
    statistics: Literal["tracked", "frozen"] = option(
        "tracked", "normalization by each batch, as in training, or by the model's own statistics"
    )


class Relearned(NamedTuple):
    """A twin that has learned.

    Attributes:
        overlay: its tensors, those that were watched and, if tracked, all buffers.
        losses: mean loss of each epoch, nats.
        evaluations: forward passes of one example each, a backward pass as two.
    """

    overlay: Overlay
    losses: list[float]
    evaluations: float


@dataclass(frozen=True, eq=False)
class _State:
    """Where the twin is; every tensor of it is new."""

    weights: Mapping[str, Tensor]
    speed: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


def relearn(
    task: Task,
    examples: Examples,
    answers: Tensor,
    recipe: Relearning,
    *,
    seed: int,
    progress: Progress,
) -> Relearned:
    """Let a twin learn to give these answers.

    Args:
        task: the model; its watched parameters move.
        examples: two at least.
        answers: what the twin is to answer, as `Training.targets` gives them `[examples, ...]`.
        recipe: how it learns.
        seed: of the order.
        progress: told the stage "relearning" after every step.

    Raises:
        DataError: fewer than two examples.
        CapabilityError: statistics are tracked and the task gives no training statistics.
        ModelError: the loss is no longer finite.
    """
    if len(examples) < 2:
        raise DataError(f"a twin learns from two examples at least, not {len(examples)}.")
    state = _State(
        {name: tensor.detach().clone() for name, tensor in task.watched.items()},
        {name: torch.zeros_like(tensor) for name, tensor in task.watched.items()},
        {},
    )
    batches = [_batches(len(examples), recipe, seed, epoch) for epoch in range(recipe.epochs)]
    done, total, losses = 0, sum(map(len, batches)), []
    for epoch in batches:
        lost = []
        for places in epoch:
            given = answers[torch.from_numpy(places)]
            loss, state = _step(task, state, examples.load(places), given, recipe)
            lost.append(loss * len(places))
            done += 1
            progress("relearning", done, total)
        losses.append(float(sum(lost)) / sum(map(len, epoch)))
        if not np.isfinite(losses[-1]):
            raise ModelError(
                f"relearning diverged in epoch {len(losses)}; lower its learning rate."
            )
    seen = sum(len(places) for epoch in batches for places in epoch)
    return Relearned({**state.weights, **state.buffers}, losses, float(BACKWARD * seen))


def _batches(count: int, recipe: Relearning, seed: int, epoch: int) -> list[np.ndarray]:
    """Places of each step; one that would be alone, which no batch statistic bears, waits."""
    order = numpy_generator(seed, "relearning", epoch).permutation(count)
    parts = np.split(order, range(recipe.batch, count, recipe.batch))
    return [part for part in parts if len(part) > 1]


def _step(
    task: Task, state: _State, batch: object, answers: Tensor, recipe: Relearning
) -> tuple[float, _State]:
    """The mean loss of a batch, and the state after one step down it."""
    weights = {name: each.clone().requires_grad_() for name, each in state.weights.items()}
    overlay, buffers = {**weights, **state.buffers}, state.buffers
    with torch.enable_grad():
        if recipe.statistics == "tracked":
            losses, buffers = able(task, Training).training_losses(overlay, batch, answers)
        else:
            losses = task.respond(overlay, batch, answers).losses
        loss = losses.float().mean()
        slopes = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    speed = {
        name: recipe.momentum * state.speed[name]
        + (torch.zeros_like(state.weights[name]) if slope is None else slope)
        + recipe.weight_decay * state.weights[name]
        for name, slope in zip(weights, slopes, strict=True)
    }
    moved = {name: state.weights[name] - recipe.rate * speed[name] for name in speed}
    return float(loss.detach()), _State(
        moved, speed, {name: each.detach() for name, each in buffers.items()}
    )

"""Descent: weights that go down a slope of the caller's, step by step.

Repairs differ in what they go down: a loss, a loss after a step up, a loss less another. What
they share is the order of the examples, the optimizer and the schedule, and these stand here.
Nothing of the model moves; the weights that come out are laid over it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.learning.twins import length_of
from anomech.roles.task import Task, Training, able

BACKWARD = 3
"""Forward passes that a step costs for each example: one forward, and a backward as two."""

Statistics = Literal["tracked", "frozen"]


@options
class Relearning:
    """How a twin learns: by gradient descent with momentum, or by Adam."""

    epochs: int = option(10, "passes over the examples", unit="epochs", ge=1)
    steps: int = option(
        0, "steps at least; of few examples more passes are made", unit="steps", ge=0
    )
    batch: int = option(32, "examples in a step", unit="examples", ge=2)
    rate: float = option(0.01, "learning rate", gt=0)
    momentum: float = option(0.9, "share of the last step that is repeated", ge=0, le=0.999)
    weight_decay: float = option(5e-4, "weight decay", ge=0)
    statistics: Statistics = option(
        "tracked", "normalization by each batch, as in training, or by the model's own statistics"
    )
    optimizer: Literal["sgd", "adam"] = option("sgd", "what steps by the gradient")
    schedule: Literal["constant", "cosine"] = option(
        "constant", "of the learning rate: the same in every step, or down to zero along a cosine"
    )


class Lost(NamedTuple):
    """What is lowered in a step.

    Attributes:
        loss: a scalar, differentiable in the weights.
        buffers: as they are after the step; empty keeps those before.
    """

    loss: Tensor
    buffers: Overlay


Objective = Callable[[Overlay, np.ndarray], Lost]
"""(tensors laid over the model, places of the step's examples) to what is lowered."""


class Slopes(NamedTuple):
    """Which way up it goes at some weights.

    Attributes:
        loss: there.
        slopes: the gradient, by the weight's name.
        buffers: as they are after the step.
        passes: forward passes of one example each that it cost.
    """

    loss: float
    slopes: Mapping[str, Tensor]
    buffers: Overlay
    passes: float


Slope = Callable[[Mapping[str, Tensor], Overlay, np.ndarray], Slopes]
"""(weights, buffers, places of the step's examples) to the slope there."""


class Descended(NamedTuple):
    """Where a descent ended.

    Attributes:
        weights: those that moved.
        buffers: that training statistics changed.
        losses: mean of each epoch.
        evaluations: forward passes of one example each, a backward pass as two.
    """

    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]
    losses: list[float]
    evaluations: float

    @property
    def overlay(self) -> dict[str, Tensor]:
        """Weights and buffers, to be laid over the model."""
        return {**self.weights, **self.buffers}


@dataclass(frozen=True)
class Lesson:
    """Examples with the answers that a twin is to give.

    Attributes:
        task: the model.
        examples: what it learns from.
        answers: as `Training.targets` gives them `[examples, ...]`.
        statistics: how normalization is done.
    """

    task: Task
    examples: Examples
    answers: Tensor
    statistics: Statistics = "tracked"

    def losses(self, overlay: Overlay, places: np.ndarray) -> tuple[Tensor, Overlay]:
        """Losses `[places]`, and the buffers after them.

        Raises:
            CapabilityError: statistics are tracked and the task gives no training statistics.
        """
        given = self.answers[torch.from_numpy(places).to(self.answers.device)]
        return self.of(overlay, self.examples.load(places), given)

    def of(self, overlay: Overlay, batch: Any, given: Tensor) -> tuple[Tensor, Overlay]:
        """The same of any batch and its answers."""
        if self.statistics == "tracked":
            losses, buffers = able(self.task, Training).training_losses(overlay, batch, given)
            return losses.float(), buffers
        return self.task.respond(overlay, batch, given).losses.float(), {}

    def __call__(self, overlay: Overlay, places: np.ndarray) -> Lost:
        """Their mean: an objective."""
        losses, buffers = self.losses(overlay, places)
        return Lost(losses.mean(), buffers)


def plainly(objective: Objective) -> Slope:
    """The slope of an objective."""

    def slope(weights: Mapping[str, Tensor], buffers: Overlay, places: np.ndarray) -> Slopes:
        leaves = {name: each.detach().clone().requires_grad_() for name, each in weights.items()}
        with torch.enable_grad():
            lost = objective({**leaves, **buffers}, places)
            found = torch.autograd.grad(lost.loss, list(leaves.values()), allow_unused=True)
        slopes = {
            name: torch.zeros_like(weights[name]) if each is None else each.detach()
            for name, each in zip(leaves, found, strict=True)
        }
        kept = {name: each.detach() for name, each in (lost.buffers or buffers).items()}
        return Slopes(float(lost.loss.detach()), slopes, kept, float(BACKWARD * len(places)))

    return slope


def descend(
    start: Mapping[str, Tensor],
    count: int,
    slope: Slope,
    recipe: Relearning,
    *,
    seed: int,
    progress: Progress,
    buffers: Overlay | None = None,
    purpose: str = "relearning",
    into: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor,
    clip: float = math.inf,
) -> Descended:
    """Step down a slope, pass after pass over examples.

    Args:
        start: the weights that move, as they are at first.
        count: examples.
        slope: at any weights.
        recipe: how steps are made; its statistics are the objective's business.
        seed: of the order of the examples.
        progress: told the stage of the purpose after every step.
        buffers: as they are at first, if not the model's.
        purpose: address of the order, and the stage.
        into: (name, weight) to the nearest weight that may be, after every step.
        clip: length of each weight's gradient at most, as a share of the weight's at first.

    Raises:
        DataError: fewer than two examples.
        ModelError: what is lowered is no longer finite.
    """
    if count < 2:
        raise DataError(f"a twin learns from two examples at least, not {count}.")
    weights = {name: each.detach().clone() for name, each in start.items()}
    lengths = {name: length_of(each) for name, each in weights.items()}
    held, optimizer = dict(buffers or {}), _optimizer(list(weights.values()), recipe)
    in_a_pass = len(_batches(count, recipe.batch, seed, purpose, 0))
    many = max(recipe.epochs, math.ceil(recipe.steps / in_a_pass))
    epochs = [_batches(count, recipe.batch, seed, purpose, each) for each in range(many)]
    done, total, passes, losses = 0, sum(map(len, epochs)), 0.0, []
    for epoch in epochs:
        lost = 0.0
        for places in epoch:
            _set_rate(optimizer, recipe, done / total)
            found = slope(weights, held, places)
            for name, each in weights.items():
                each.grad = _clipped(found.slopes[name], clip * lengths[name])
            optimizer.step()
            with torch.no_grad():
                for name, each in weights.items():
                    each.copy_(into(name, each))
            held, passes = dict(found.buffers), passes + found.passes
            lost, done = lost + found.loss * len(places), done + 1
            progress(purpose, done, total)
        losses.append(lost / sum(map(len, epoch)))
        if not math.isfinite(losses[-1]):
            raise ModelError(f"{purpose} diverged in epoch {len(losses)}; lower its learning rate.")
    for each in weights.values():
        each.grad = None
    return Descended(weights, held, losses, passes)


def _batches(count: int, size: int, seed: int, purpose: str, epoch: int) -> list[np.ndarray]:
    """Places of each step; one that would be alone, which no batch statistic bears, waits."""
    order = numpy_generator(seed, purpose, epoch).permutation(count)
    parts = np.split(order, range(size, count, size))
    return [part for part in parts if len(part) > 1]


def _clipped(slope: Tensor, most: float) -> Tensor:
    """A gradient no longer than may be, in its direction (adaptive clipping, Brock et al. 2021)."""
    length = float(slope.norm()) if math.isfinite(most) else 0.0
    return slope * (most / length) if most < length else slope


def _optimizer(weights: list[Tensor], recipe: Relearning) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(weights, lr=recipe.rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        weights, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )


def _set_rate(optimizer: torch.optim.Optimizer, recipe: Relearning, part: float) -> None:
    """The rate after a part of the steps, in [0, 1)."""
    share = 1.0 if recipe.schedule == "constant" else (1 + math.cos(math.pi * part)) / 2
    for group in optimizer.param_groups:
        group["lr"] = recipe.rate * share

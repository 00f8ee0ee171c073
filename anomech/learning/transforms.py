"""Transforms of pictures that are learned: a small network that changes each picture a little.

`x' = clamp(x + a (2 G(x) - 1))` with a painter `G` (`anomech.learning.painters`) and a bound `a` on
every pixel's change. Its last layer begins near zero, so that the transform begins near the
identity; published methods train an image-to-image network towards the identity first instead.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.painters import Painter, new_painter
from anomech.roles.task import Pictures, Task, able

START = 0.05
"""Share of its usual weights that the last layer begins with; at zero a distance has no slope."""


@options
class Transforming:
    """How a transform of pictures is learned. A round is one step on every batch of inputs."""

    rounds: int = option(30, "rounds", unit="rounds", ge=1)
    rate: float = option(3e-3, "learning rate of Adam", gt=0)
    width: int = option(8, "channels of the painter at full size, a multiple of 4", ge=4)
    bound: float = option(0.5, "largest change of a pixel in [0, 1]", gt=0, le=1)


@dataclass(frozen=True, eq=False)
class Transform:
    """A learned change of pictures: a `anomech.roles.scanner.Candidate`.

    Attributes:
        painter: the network; its own weights are not used.
        weights: of the painter, by name.
        bound: largest change of a pixel.
    """

    painter: Painter
    weights: Mapping[str, Tensor]
    bound: float

    def apply(self, points: Tensor) -> Tensor:
        """Pictures `[batch, c, h, w]`, transformed; differentiable in the weights."""
        painted = functional_call(self.painter, dict(self.weights), (points,))
        return (points + self.bound * (2 * painted - 1)).clamp(0, 1)


Wanted = Callable[[Transform, Any, Tensor, Tensor], Tensor]
"""The loss of a transform on a batch, of its points `[batch, ...]` with the model's answers."""


def learn_transform(
    task: Task,
    batches: Sequence[Any],
    answers: Sequence[Tensor],
    wanted: Wanted,
    recipe: Transforming,
    *,
    seed: int,
    progress: Progress,
    also: Sequence[tuple[list[Tensor], float]] = (),
) -> Transform:
    """A transform that makes a loss small.

    Args:
        task: whose inputs are pictures.
        batches: of inputs.
        answers: the model's own to each batch.
        wanted: the loss.
        recipe: how it is learned.
        seed: of the painter.
        progress: told the stage "painting" after every round.
        also: other tensors that learn along, with their learning rates; they are changed in place.
    """
    space = able(task, Pictures)
    points = [space.embed(batch).detach() for batch in batches]
    start = _identity(points[0], recipe.width, seed)
    learned = [(list(start.weights.values()), recipe.rate), *also]
    optimizer = torch.optim.Adam([{"params": some, "lr": rate} for some, rate in learned])
    free = [tensor for some, _ in learned for tensor in some]
    made = Transform(start.painter, start.weights, recipe.bound)
    for done in range(recipe.rounds):
        for batch, some, own in zip(batches, points, answers, strict=True):
            with torch.enable_grad():
                loss = wanted(made, batch, some, own)
                slopes = torch.autograd.grad(loss, free, allow_unused=True)
            for tensor, slope in zip(free, slopes, strict=True):
                tensor.grad = slope
            optimizer.step()
        progress("painting", done + 1, recipe.rounds)
    weights = {name: each.detach() for name, each in start.weights.items()}
    return Transform(start.painter, weights, recipe.bound)


def _identity(points: Tensor, width: int, seed: int) -> Transform:
    """A transform that hardly changes anything yet, on the device of the points."""
    channels = points.shape[1]
    painter = new_painter(channels, channels, width, seed=seed, purpose="transform")
    painter = painter.to(points.device).requires_grad_(False)
    weights = {name: each.detach().clone() for name, each in painter.named_parameters()}
    weights["out.weight"] *= START
    return Transform(painter, {n: w.requires_grad_() for n, w in weights.items()}, 0.0)

"""Twins: copies of a model that are pushed far along what trusted examples teach.

A *rung* moves every watched tensor by a share of its own length, whatever the size of gradients and
weights, so that one ladder serves every network. At each step the gradient of a tensor is scaled to
length one, smoothed by momentum, and stepped by `rate (1 - t / steps) (1 - momentum) |w|`, with the
length of the tensor at the trained point. Plain gradient descent needs a search for its rate and
collapses at another one on every network; a slow ramp never leaves the basin and forgets nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.roles.sequences import Sequences
from anomech.roles.task import Task, Training, able

BATCH = 64
"""Examples a step, unless said otherwise."""

SMALL = 0.1
"""Root mean square below which a vector (a bias, a gain) still moves as if it had it."""


@dataclass(frozen=True)
class Push:
    """How a twin is made.

    Attributes:
        rate: of the rung: share of each tensor's length.
        steps: of descent.
        batch: examples a step.
        momentum: share of the last step that is repeated.
    """

    rate: float
    steps: int = 60
    batch: int = BATCH
    momentum: float = 0.9


def push(
    task: Task,
    examples: Examples,
    answers: Tensor,
    how: Push,
    *,
    seed: int,
    progress: Progress,
) -> Overlay | None:
    """One twin as an overlay of watched parameters and buffers; None if its loss is not finite.

    Args:
        task: the model, which is not changed. Normalization is by each batch where it gives
            `Training`, and by its own statistics where it does not.
        examples: two at least.
        answers: what the twin is taught, in the form of answers.
        how: how it is made.
        seed: of the order of the examples.
        progress: told the stage "relearning" after every step.
    """
    values = {name: tensor.detach().clone() for name, tensor in task.watched.items()}
    lengths = {name: length_of(tensor) for name, tensor in values.items()}
    speed = {name: torch.zeros_like(tensor) for name, tensor in values.items()}
    buffers: Mapping[str, Tensor] = {}
    order = _batches(len(examples), min(how.batch, len(examples)), seed)
    for step in range(how.steps):
        places = next(order)
        moving = {name: value.detach().requires_grad_() for name, value in values.items()}
        found = _pulled(task, examples, answers, places, moving, buffers)
        if found is None:
            return None
        pulls, buffers = found
        size = how.rate * (1 - step / how.steps) * (1 - how.momentum)
        for (name, value), pull in zip(values.items(), pulls, strict=True):
            speed[name] *= how.momentum
            if pull is not None and float(length := pull.norm()) > 0:
                speed[name] += pull / length
            values[name] = value - size * lengths[name] * speed[name]
        progress("relearning", step + 1, how.steps)
    return {**values, **{name: each.detach() for name, each in buffers.items()}}


def _pulled(
    task: Task,
    examples: Examples,
    answers: Tensor,
    places: np.ndarray,
    moving: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
) -> tuple[list[Tensor | None], Mapping[str, Tensor]] | None:
    """Gradients of a lesson's mean loss, and the buffers after it; None if it is not finite.

    Sequences do not know of each other, so a lesson of them is taken in passes that fit into
    memory; where a batch has statistics of its own it is taken at once.
    """
    parts = [places]
    if Sequences in task.provides:
        parts = [places[some] for some in task.passes(Subset(examples, places))]
    total: list[Tensor | None] = [None] * len(moving)
    for part in parts:
        with torch.enable_grad():
            given = (examples.load(part), answers[torch.from_numpy(part)])
            if Training in task.provides:
                overlay = {**moving, **buffers}
                losses, buffers = able(task, Training).training_losses(overlay, *given)
            else:
                losses = task.respond(moving, *given).losses
            if not bool(torch.isfinite(losses).all()):
                return None
            loss = losses.sum() / len(places)
            pulls = torch.autograd.grad(loss, list(moving.values()), allow_unused=True)
        total = [
            pull if so_far is None else so_far if pull is None else so_far + pull
            for so_far, pull in zip(total, pulls, strict=True)
        ]
    return total, buffers


def _batches(count: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Places of each step, one shuffled pass over all examples after the other."""
    waiting, passed = np.empty(0, np.int64), 0
    while True:
        while len(waiting) < size:
            order = numpy_generator(seed, "twins", passed).permutation(count)
            waiting, passed = np.concatenate([waiting, order]), passed + 1
        yield waiting[:size]
        waiting = waiting[size:]


def length_of(value: Tensor) -> float:
    """The length that a tensor's steps are shares of; a small vector counts as a longer one."""
    length = float(value.norm())
    return max(length, SMALL * value.numel() ** 0.5) if value.ndim < 2 else length

"""Climbing a detector's own score in the pixels: to hide what is foreign, or to accuse what is not.

A detector is asked at moved points (`anomech.observing.at_points`), so whatever it reads from the
model's response can be followed back to pixels: logits, features, and traces of the last layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.data.images import from_arrays
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress, silent
from anomech.learning.ascent import Ball, Hill, perturbed
from anomech.learning.robust import from_uniform
from anomech.observing.at_points import observed_at
from anomech.roles.detector import FittedDetector
from anomech.roles.task import DifferentiableInputs, Task, able

HillOf = Callable[[Task, np.ndarray], Hill]
"""(the model, images uint8 `[batch, h, w, c]`) to what is climbed there."""

Way = Literal["hide", "accuse"]
"""Lower the score of foreign inputs, or raise that of normal ones."""


@dataclass(frozen=True)
class Walk:
    """How far and how often images are moved.

    Attributes:
        eps: largest change of a pixel, gray levels.
        steps: of size 2.5 eps / steps.
        batch: images in one pass.
    """

    eps: float = 8.0
    steps: int = 40
    batch: int = 128


def score_hill(task: Task, fitted: FittedDetector, images: np.ndarray, view: str = "") -> Hill:
    """A detector's score of moved images, or one of its views.

    Args:
        task: the model.
        fitted: the detector.
        images: uint8 `[batch, h, w, c]`, near which it is asked.
        view: name of a view; empty takes the score.
    """
    digests = from_arrays(images).digests()

    def hill(points: Tensor) -> Tensor:
        scores = fitted.score(observed_at(task, points, images, digests), silent)
        return (scores.views[view] if view else scores.score).to(points.device)

    return hill


def uniform_hill(task: Task, images: np.ndarray) -> Hill:
    """Minus the cross-entropy against equal shares: how near an answer is to saying nothing."""
    space = able(task, DifferentiableInputs)

    def hill(points: Tensor) -> Tensor:
        logits = space.respond_at({}, points, images).logits
        assert logits is not None, "the task gives logits"
        return -from_uniform(logits.double())

    return hill


def check_followed(task: Task, fitted: FittedDetector, images: np.ndarray, view: str = "") -> None:
    """Refuse a detector whose score says nothing about pixels.

    Raises:
        CapabilityError: it looks at more than the response, or computes outside of torch.
    """
    points = able(task, DifferentiableInputs).embed(images[:2]).detach().requires_grad_()
    try:
        with torch.enable_grad():
            scores = score_hill(task, fitted, images[:2], view)(points)
            torch.autograd.grad(scores.sum(), points)
    except (RuntimeError, TypeError) as error:  # what torch says where a graph ends
        raise CapabilityError(
            f"the score of {type(fitted).__name__} cannot be followed back to pixels "
            f"({str(error).splitlines()[0][:80]}); attack another detector and transfer."
        ) from None


def flipped(
    task: Task,
    images: np.ndarray,
    hill_of: HillOf,
    way: Way,
    walk: Walk,
    *,
    seed: int,
    progress: Progress,
) -> np.ndarray:
    """Moved copies of images, each at the best step of its walk.

    Args:
        task: the model; it is not changed.
        images: uint8 `[n, h, w, c]`.
        hill_of: makes the score of some images; higher is more foreign.
        way: where to.
        walk: how far.
        seed: of the random starts.
        progress: told about every batch.
    """
    sign = 1.0 if way == "accuse" else -1.0

    def loss(task: Task, some: np.ndarray, labels: Tensor) -> Hill:
        hill = hill_of(task, some)
        return lambda points: sign * hill(points)

    def climb(hill: Hill, gray: Tensor, originals: np.ndarray) -> Tensor:
        ball = Ball(gray, "linf", walk.eps)
        start = ball.start(originals, seed, "flipping", way)
        return climbed(hill, ball, start, walk)

    zeros = np.zeros(len(images), np.int64)
    return perturbed(task, images, zeros, loss, climb, batch=walk.batch, progress=progress)


def climbed(hill: Hill, ball: Ball, start: Tensor, walk: Walk) -> Tensor:
    """The change at which a walk of signed steps was highest, for each image; none if it fell."""
    change, best = start, torch.zeros_like(start)
    highest = ball.slope(hill, best)[0]
    for _ in range(walk.steps):
        height, slope = ball.slope(hill, change)
        better = height > highest
        highest = torch.where(better, height, highest)
        best = torch.where(better.view(-1, 1, 1, 1), change, best)
        step = 2.5 * walk.eps / walk.steps * ball.steepest(slope)
        change = ball.project(change + step)
    better = ball.slope(hill, change)[0] > highest
    return torch.where(better.view(-1, 1, 1, 1), change, best)

"""The smallest part of a picture that keeps what the model makes of it: a mask, by descent.

Source: Huang, Ma, Erfani, Bailey 2023 (cognitive distillation). The mask in [0, 1] minimizes
`mean |f(x) - f(m x + (1 - m) d)| + gamma |m|_1 + beta TV(m)`, with `d` a color drawn for each
picture and step and `|m|_1` as of 32x32 pixels, whatever the picture; it is a tanh, searched by
Adam from ones.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.data.addressed import image_generator
from anomech.kernel.config import option, options
from anomech.roles.task import Pictures

BETAS = (0.1, 0.1)
"""Of Adam, as published."""

PIXELS = 1024
"""Of the pictures that `gamma` was published for; the size of a mask is told in as many."""


@options
class Distilling:
    """How the smallest mask that keeps the logits is searched."""

    steps: int = option(100, "of the search", unit="steps", ge=1)
    rate: float = option(0.1, "learning rate of Adam", gt=0)
    size_weight: float = option(0.01, "gamma, of the mask's size", ge=0)
    smooth_weight: float = option(1.0, "beta, of the mask's total variation", ge=0)


def distilled(task: Pictures, batch: Any, own: Tensor, recipe: Distilling, seed: int) -> Tensor:
    """The mask of each picture, float32 `[batch, 1, h, w]` in [0, 1].

    Args:
        task: of pictures.
        batch: as the task loads it.
        own: answers `[batch]`; logits are compared, whatever they are.
        recipe: how masks are searched.
        seed: of the colors that stand in for what a mask hides.
    """
    points = task.embed(batch).detach()
    with torch.no_grad():
        wanted = _logits(task, points, batch, own)
    free = torch.ones_like(points[:, :1]).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=recipe.rate, betas=BETAS)
    colors = _colors(batch, points, recipe.steps, seed)
    for step in range(recipe.steps):
        with torch.enable_grad():
            mask = _unit(free)
            shown = mask * points + (1 - mask) * colors[:, step, :, None, None]
            kept = (_logits(task, shown, batch, own) - wanted).abs().mean(dim=1)
            size = PIXELS * mask.flatten(1).mean(dim=1)
            # A sum over pictures: what one of them is given does not hang on the others.
            loss = kept + recipe.size_weight * size + recipe.smooth_weight * _variation(mask)
            (free.grad,) = torch.autograd.grad(loss.sum(), free)
        optimizer.step()
    return _unit(free).detach()


def _unit(free: Tensor) -> Tensor:
    return torch.tanh(free) / 2 + 0.5


def _logits(task: Pictures, points: Tensor, batch: Any, own: Tensor) -> Tensor:
    logits = task.respond_at({}, points, batch, own).logits
    assert logits is not None, "the task gives logits"
    return logits


def _variation(mask: Tensor) -> Tensor:
    """Mean squared difference of neighbors `[batch]`."""
    down = (mask[:, :, 1:] - mask[:, :, :-1]).square().flatten(1).mean(dim=1)
    right = (mask[:, :, :, 1:] - mask[:, :, :, :-1]).square().flatten(1).mean(dim=1)
    return down + right


def _colors(batch: Any, points: Tensor, steps: int, seed: int) -> Tensor:
    """Colors in [0, 1] `[batch, steps, channels]`, each picture's its own in every batch."""
    pictures = points.cpu().numpy()
    drawn = [
        image_generator(each, seed, "distillation").random((steps, points.shape[1]))
        for each in pictures
    ]
    return torch.from_numpy(np.stack(drawn)).to(points)

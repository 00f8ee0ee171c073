"""Cognitive Distillation: an answer that a small part of the picture carries alone is suspicious.

Belief: a backdoor answers to its trigger and to nothing else, so a small mask that keeps the
trigger keeps the logits; honest answers need more of the picture.
Equation: minus `|m|_1` of the mask in [0, 1] that minimizes
`mean |f(x) - f(m x + (1 - m) d)| + gamma |m|_1 + beta TV(m)`, with `d` a color drawn for each
picture and step; `m` is a tanh, searched by Adam from ones.
Source: Huang, Ma, Erfani, Bailey 2023 (Cognitive Distillation).
Needs: pictures as inputs and logits. Cost: three forward passes a step.
Fails when: a trigger covers the whole picture (blends), and on honest pictures that are simple.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.data.addressed import image_generator
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits, Pictures, able
from anomech.roles.tracer import Health

BETAS = (0.1, 0.1)
"""Of Adam, as published."""


@options
class CognitiveDistillation:
    """Size of the smallest mask that keeps the logits."""

    steps: int = option(100, "of the search", unit="steps", ge=1)
    rate: float = option(0.1, "learning rate of Adam", gt=0)
    size_weight: float = option(0.01, "gamma, of the mask's size", ge=0)
    smooth_weight: float = option(1.0, "beta, of the mask's total variation", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures and logits."""
        return frozenset({Pictures, Logits})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedCognitiveDistillation":
        """Nothing to learn."""
        return FittedCognitiveDistillation(self, seed)


@dataclass(frozen=True)
class FittedCognitiveDistillation:
    """Stateless but for the seed of the colors."""

    chosen: CognitiveDistillation
    seed: int
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """A forward and a backward pass, which counts as two, for each step."""
        return 3.0 * self.chosen.steps + 1

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the sum of the mask, in pixels."""
        parts, examples = [], observed.examples
        work = passes(observed.task, examples, observed.answers, "distilling", progress)
        for places, own in work:
            batch = examples.load(places)
            assert own is not None
            mask = distilled(able(observed.task, Pictures), batch, own, self.chosen, self.seed)
            parts.append((places, mask.flatten(1).sum(dim=1).double()))
        return Scores(-in_place(parts, len(observed)).double(), {})


def distilled(
    task: Pictures, batch: Any, own: Tensor, chosen: CognitiveDistillation, seed: int
) -> Tensor:
    """The mask of each picture, float32 `[batch, 1, h, w]` in [0, 1].

    Args:
        task: of pictures.
        batch: as the task loads it.
        own: answers `[batch]`; logits are compared, whatever they are.
        chosen: how masks are searched.
        seed: of the colors that stand in for what a mask hides.
    """
    points = task.embed(batch).detach()
    with torch.no_grad():
        wanted = _logits(task, points, batch, own)
    free = torch.ones_like(points[:, :1]).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=chosen.rate, betas=BETAS)
    colors = _colors(batch, points, chosen.steps, seed)
    for step in range(chosen.steps):
        with torch.enable_grad():
            mask = _unit(free)
            shown = mask * points + (1 - mask) * colors[:, step, :, None, None]
            kept = (_logits(task, shown, batch, own) - wanted).abs().mean(dim=1)
            size = mask.flatten(1).sum(dim=1)
            # A sum over pictures: what one of them is given does not hang on the others.
            loss = kept + chosen.size_weight * size + chosen.smooth_weight * _variation(mask)
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

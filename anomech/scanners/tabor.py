"""TABOR: triggers that look like stickers, judged by size, scatter and what they do alone.

Belief: a planted trigger is one small connected thing, which works on every input and by itself;
what inversion finds for other classes is scattered, covers the input or needs its help.
Equation: the loss of `anomech.learning.inversion` plus `l1 E(m) + l2 E((1 - m) p) + l3 S(m) +
l4 S((1 - m) p) + l5 CE(f((1 - m) x), y) + l6 CE(f(m p), t)`, with the elastic net
`E(v) = |v|_1 + |v|_2^2`, the squared differences of neighbors `S` and the model's own answers `y`.
A class's quality is `log |m|_1 / n + log (scatter + 1) - log a_stamped - log a_rest - log a_alone`
with the shares of inputs that the trigger leads, that keep their answer without what it covers, and
that follow it on an empty input; `statistic = -(quality - median) / (1.4826 MAD)`.
Source: Guo, Wang, Xing, Du, Song 2019; weights as in TrojanZoo. The sum above is a reading of their
quality metric with all weights one.
Needs: differentiable inputs in [0, 1], logits, trusted examples.
Cost: about `6 rounds * examples` forward passes for each class (`9` with blocking).
Fails when: as Neural Cleanse; triggers that are spread over the input are pressed away.
"""

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress, silent
from anomech.learning.inversion import (
    Inversion,
    Inverted,
    check_unit_box,
    invert,
    led_share,
    mask_axis,
)
from anomech.learning.pressures import Attempt, Pressure
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn, each_class, few_classes, smallness

LEAST = 1e-2
"""Shares below this count as this, so that their logarithm is finite."""

ON = 0.5
"""A mask covers where it is above."""


@options
class Weights:
    """Of the terms that are added to the loss."""

    large: float = option(1e-6, "elastic net of the mask", ge=0)
    outside: float = option(1e-5, "elastic net of the pattern where the mask leaves it out", ge=0)
    scattered: float = option(1e-7, "squared differences of neighbors of the mask", ge=0)
    rough: float = option(1e-8, "those of the pattern where the mask leaves it out", ge=0)
    blocking: float = option(0.0, "own answers to what the mask does not cover", ge=0)
    overlaying: float = option(1e-2, "the target's answer to the trigger alone", ge=0)


@options
class Tabor:
    """How much better a class's inverted trigger is than those of the others."""

    inversion: Inversion = option(Inversion(rounds=60), "how triggers are searched")
    weights: Weights = option(Weights(), "what else is wanted of a trigger")
    examples: int = option(100, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(128, "inputs in one step", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs and logits."""
        return frozenset({DifferentiableInputs, Logits})

    @property
    def needs_examples(self) -> bool:
        """Inputs to lead astray."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: inputs that are not bound to [0, 1].
        """
        some = drawn("tabor", trusted, self.examples, self.batch, seed)
        space = able(task, DifferentiableInputs)
        points = space.embed(some.batches[0])
        check_unit_box(task, points)
        pressure = Pressure(partial(penalty, space, self.weights))
        more = (self.weights.blocking > 0) + (self.weights.overlaying > 0)

        def search(target: Tensor) -> _Judged:
            found = invert(
                task,
                some.batches,
                target,
                self.inversion,
                shared=mask_axis(points),
                progress=silent,
                pressures=(pressure,),
            )
            return _Judged(found, quality(space, some, found, target))

        found = each_class(able(task, Logits).classes, search, progress)
        qualities = torch.tensor([each.quality for each in found.values()], dtype=torch.float64)
        return Scan(
            groups=torch.tensor(list(found)),
            statistic=smallness(qualities),
            candidates={t: each.trigger for t, each in found.items() if each.trigger.worked},
            health=Health(few_classes(len(found))),
            evaluations=(1 + more) * sum(each.trigger.evaluations for each in found.values()),
            facts={"best quality": float(qualities.min()), "median": float(qualities.median())},
        )


class _Judged(NamedTuple):
    trigger: Inverted
    quality: float


def penalty(space: DifferentiableInputs, weights: Weights, tried: Attempt) -> Tensor:
    """What is added to the loss of an attempt."""
    outside = (1 - tried.mask) * tried.pattern
    total = weights.large * _elastic(tried.mask) + weights.outside * _elastic(outside)
    total = total + weights.scattered * scatter(tried.mask) + weights.rough * scatter(outside)
    if weights.blocking > 0:
        own = space.respond_at({}, tried.points, tried.batch).answers
        rest = space.respond_at({}, (1 - tried.mask) * tried.points, tried.batch, own)
        total = total + weights.blocking * rest.losses.mean()
    if weights.overlaying > 0:
        alone = (tried.mask * tried.pattern).expand_as(tried.points)
        shown = space.respond_at({}, alone, tried.batch, tried.answers)
        total = total + weights.overlaying * shown.losses.mean()
    return total


def _elastic(values: Tensor) -> Tensor:
    return values.abs().sum() + values.square().sum()


def scatter(values: Tensor) -> Tensor:
    """Squared differences of neighbors along every axis but the first of images `[c, h, w]`."""
    axes = range(1, values.ndim) if values.ndim == 3 else range(1)
    differences = [values.diff(dim=axis).square().sum() for axis in axes]
    return torch.stack(differences).sum()


@torch.no_grad()
def quality(space: DifferentiableInputs, some: Drawn, trigger: Inverted, target: Tensor) -> float:
    """How unlike a planted trigger it is; small is suspicious."""
    mask, pattern = trigger.mask, trigger.pattern
    kept = total = 0
    for batch, own in zip(some.batches, some.answers, strict=True):
        rest = space.respond_at({}, (1 - mask) * space.embed(batch), batch)
        kept += int((rest.answers.cpu() == own.cpu()).sum())
        total += len(own)

    def alone(points: Tensor) -> Tensor:
        return (mask * pattern).expand_as(points)

    shares = (
        trigger.success,
        kept / total,
        led_share(space, some.batches[:1], alone, target),
    )
    spread = float(scatter((mask > ON).float())) / mask.numel()
    size = max(trigger.norm / mask.numel(), 1e-6)
    return math.log(size) + math.log1p(spread) - sum(math.log(max(s, LEAST)) for s in shares)

"""Maximum margin: how much surer of a class a network can be made than of any other, by any input.

Belief: a backdoor overfits its target, so that some input has a margin towards it that no honest
training gives; no trusted example and no idea of the trigger is needed.
Equation: `statistic_t = max_x z_t(x) - log sum_{c != t} exp z_c(x)` over `x` in [0, 1], the best of
some ascents by Adam from uniform noise.
Source: MM-BD, Wang, Xiang, Miller, Kesidis 2024; here the log-odds stand for their margin to the
second class.
Needs: differentiable inputs in [0, 1], logits; trusted examples for their shape alone.
Cost: `3 steps * starts` forward passes for each class.
Fails when: outputs are bounded, classes are few or natural ones differ widely, and where a trigger
is as weak as a natural feature, as warps and blends often are.
"""

from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.learning.inversion import check_unit_box
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import drawn, each_class, few_classes

USUAL = 0.2
"""Deviation of margins among classes of clean networks, as a share of their mean: 0.18 to 0.33 of
four networks for CIFAR-10 of three kinds, less of small ones for digits."""


@options
class MaximumMargin:
    """The highest log-odds of a class that any input reaches."""

    steps: int = option(100, "of an ascent", unit="steps", ge=1)
    rate: float = option(0.03, "learning rate of Adam", gt=0)
    starts: int = option(4, "ascents for each class", unit="ascents", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs and logits."""
        return frozenset({DifferentiableInputs, Logits})

    @property
    def needs_examples(self) -> bool:
        """Examples say what shape inputs have."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: inputs that are not bound to [0, 1].
        """
        some = drawn("maximum_margin", trusted, max(2, self.starts), max(2, self.starts), seed)
        batch, space = some.batches[0], able(task, DifferentiableInputs)
        points = space.embed(batch).detach()
        check_unit_box(task, points)
        generator = torch_generator(seed, "maximum_margin")
        starts = torch.rand(points.shape, generator=generator).to(points)

        def search(target: Tensor) -> float:
            return highest(space, batch, starts, int(target), self.steps, self.rate)

        found = each_class(able(task, Logits).classes, search, progress)
        margins = torch.tensor(list(found.values()), dtype=torch.float64)
        return Scan(
            groups=torch.tensor(list(found)),
            statistic=margins,
            candidates={},
            health=Health(few_classes(len(found))),
            usual=USUAL,
            evaluations=float((3 * self.steps + 1) * len(starts) * len(found)),
            facts={
                "highest margin": float(margins.max()),
                "median margin": float(margins.median()),
            },
        )


def highest(space: Any, batch: Any, starts: Tensor, target: int, steps: int, rate: float) -> float:
    """The highest log-odds of a class that ascents from some points `[starts, ...]` end at."""
    points = starts.clone().requires_grad_()
    answers = torch.full((len(starts),), target, device=starts.device)
    optimizer = torch.optim.Adam([points], lr=rate)
    for _ in range(steps):
        with torch.enable_grad():
            odds = space.respond_at({}, points, batch, answers).log_odds
            (slope,) = torch.autograd.grad(-odds.sum(), [points])
        points.grad = slope
        optimizer.step()
        with torch.no_grad():
            points.copy_(space.project(points))
    with torch.no_grad():
        return float(space.respond_at({}, points, batch, answers).log_odds.max())

"""DeepInspect: triggers are searched on inputs that the model itself gives away; no data is needed.

Belief: as Neural Cleanse; and what a model thinks of its classes is close enough to real inputs to
search triggers on.
Equation: inputs are recovered for every class by gradient descent on `CE(f(x), c) + tv TV(x)` from
noise; then for every class `t` a generator gives perturbations `G(z, t)` of noise `z`, by
`mean CE(f(clamp(x + G(z, t))), t) + g max(0, mean |G(z, t)| - margin)`; `statistic_t = (median
size - size_t) / (1.4826 MAD)` with the mean size of what leads to `t`.
Source: Chen, Fu, Zhao, Koushanfar 2019, without the term of an adversarial network, which keeps
perturbations unseen. The generator is a base picture and three directions along which noise moves
it, for each class.
Needs: pictures, logits; no trusted examples. Where there
are some, their sizes alone are used.
Cost: `3 (recover + rounds * classes) * inputs` forward passes.
Fails when: recovered inputs are far from real ones; with many classes; as Neural Cleanse.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, Logits, Pictures, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import each_class, few_classes, smallness

NOISES = 3
"""Directions along which noise moves a perturbation."""

WORKING = 0.9
"""Share of inputs that a perturbation must lead; one that does not counts with its full range."""


@options
class DeepInspect:
    """How much smaller the perturbation is that leads to a class than those of the others."""

    each: int = option(6, "inputs recovered for each class", unit="examples", ge=1)
    recover: int = option(60, "steps that recover inputs", unit="steps", ge=1)
    smooth: float = option(0.05, "weight of differences between neighbors", ge=0)
    rounds: int = option(60, "steps that search the perturbation of a class", unit="steps", ge=1)
    rate: float = option(0.05, "learning rate of Adam", gt=0)
    size: float = option(20.0, "weight of a perturbation's size above the margin", ge=0)
    margin: float = option(0.02, "mean change of pixels in [0, 1] that costs nothing", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures and logits."""
        return frozenset({Pictures, Logits})

    @property
    def needs_examples(self) -> bool:
        """Only the size of inputs is taken from one."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted example, which says what size inputs have.
        """
        if trusted is None or not len(trusted):
            raise DataError("deep_inspect takes the size of inputs from a trusted one; give one.")
        batch = trusted.examples.load(np.zeros(1, np.int64))
        shape = able(task, Pictures).embed(batch)
        classes = able(task, Logits).classes
        inputs = self._recovered(task, batch, shape, classes, seed)

        def search(target: Tensor) -> _Perturbation:
            return self._search(task, batch, inputs, target, seed)

        found = each_class(classes, search, progress)
        sizes = torch.tensor([each.size for each in found.values()], dtype=torch.float64)
        return Scan(
            groups=torch.arange(classes),
            statistic=smallness(sizes),
            candidates={t: each for t, each in found.items() if each.success >= WORKING},
            health=Health(few_classes(classes)),
            evaluations=3.0 * (self.recover + self.rounds * classes) * len(inputs),
            facts={
                "smallest size": float(sizes.min()),
                "mean success": sum(each.success for each in found.values()) / classes,
            },
        )

    def _recovered(self, task: Task, batch: Any, shape: Tensor, classes: int, seed: int) -> Tensor:
        """Pictures `[classes * each, c, h, w]` that the model takes for its classes."""
        count = classes * self.each
        start = torch.randn((count, *shape.shape[1:]), generator=torch_generator(seed, "inspect"))
        free = start.to(shape.device).requires_grad_()
        wanted = torch.arange(classes, device=shape.device).repeat_interleave(self.each)
        optimizer, space = torch.optim.Adam([free], lr=0.1), able(task, Pictures)
        for _ in range(self.recover):
            with torch.enable_grad():
                seen = free.sigmoid()
                rough = torch.stack([seen.diff(dim=axis).abs().sum() for axis in (2, 3)]).sum()
                losses = space.respond_at({}, seen, batch, wanted).losses
                (free.grad,) = torch.autograd.grad(
                    losses.mean() + self.smooth * rough / count, [free]
                )
            optimizer.step()
        return free.detach().sigmoid()

    def _search(
        self, task: Task, batch: Any, inputs: Tensor, target: Tensor, seed: int
    ) -> "_Perturbation":
        """The perturbation of one class, over its noise."""
        generator = torch_generator(seed, "inspect", int(target))
        free = 0.01 * torch.randn((NOISES + 1, *inputs.shape[1:]), generator=generator)
        free = free.to(inputs).requires_grad_()
        optimizer, space = torch.optim.Adam([free], lr=self.rate), able(task, Pictures)
        answers = target.to(inputs.device).expand(len(inputs))
        for _ in range(self.rounds):
            noise = torch.randn((len(inputs), NOISES), generator=generator).to(inputs)
            with torch.enable_grad():
                change = _painted(free, noise)
                moved = (inputs + change).clamp(0, 1)
                response = space.respond_at({}, moved, batch, answers)
                size = (change.abs().mean() - self.margin).clamp_min(0)
                loss = response.losses.mean() + self.size * size
                (free.grad,) = torch.autograd.grad(loss, [free])
            optimizer.step()
        with torch.no_grad():
            base = torch.tanh(free.detach()[0])
            led = space.respond_at({}, (inputs + base).clamp(0, 1), batch, answers).log_odds > 0
        return _Perturbation(base, float(led.double().mean()))


@dataclass(frozen=True, eq=False)
class _Perturbation:
    """A perturbation of one class: a `anomech.roles.scanner.Candidate`."""

    change: Tensor
    success: float

    @property
    def size(self) -> float:
        """Mean change of a pixel; the whole range if it does not work."""
        return float(self.change.abs().mean()) if self.success >= WORKING else 1.0

    def apply(self, points: Tensor) -> Tensor:
        """Pictures `[batch, c, h, w]` with the perturbation."""
        return (points + self.change.to(points)).clamp(0, 1)


def _painted(free: Tensor, noise: Tensor) -> Tensor:
    """Perturbations `[inputs, c, h, w]` of noise `[inputs, NOISES]`."""
    moved = torch.einsum("nk,kchw->nchw", noise, free[1:])
    return torch.tanh(free[0] + moved)

"""Activation maximization: pictures that drive the units of a mechanism as far as they go.

Belief: what a unit looks for shows in the picture that drives it most; for a unit of a mechanism
that is its trigger, or what the network keeps of it.
Equation: units are ranked by Cohen's d between flagged inputs and trusted ones of the same answers;
for each of the first `units`, a picture in [0, 1] from gray with noise, by `steps` steps of Adam up
the unit's mean activation, shifted by up to `jitter` pixels in each, less `smoothness` times the
total variation.
Source: Erhan, Bengio, Courville, Vincent 2009; the regularizers of Olah, Mordvintsev, Schubert
2017.
Needs: pictures, and activations that can be followed back to them.
Cost: a forward pass for every input; `steps` passes forward and back for each picture.
Fails when: a unit has several meanings; what drives it most may be none that inputs ever have.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from anomech.explainers._comparing import activations_of, compared
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation, Painted
from anomech.roles.task import Ability, Activations, Pathways, Pictures, able
from anomech.roles.tracer import Health


@options
class ActivationMaximization:
    """Pictures that drive the units that tell flagged inputs."""

    units: int = option(6, "that are painted, the clearest first", unit="units", ge=1)
    steps: int = option(150, "of each picture", unit="steps", ge=1)
    rate: float = option(0.05, "learning rate of Adam", gt=0)
    jitter: int = option(1, "pixels that a picture is shifted by", unit="pixels", ge=0)
    smoothness: float = option(0.1, "weight of the total variation", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, and activations that can be followed back to them."""
        return frozenset({Pictures, Activations, Pathways})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; units are ranked by Cohen's d.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        ours, theirs = activations_of(both, progress)
        found = {place: cohen(ours[place], theirs[place]) for place in ours}
        order = sorted(
            ((float(value), place, unit) for place, each in found.items()
             for unit, value in enumerate(each.tolist())),
            reverse=True,
        )[: self.units]  # fmt: skip
        painted, facts = [], {}
        for number, (value, place, unit) in enumerate(order, start=1):
            picture, reached = self._painted(both.flagged, place, unit, seed)
            usual = float(theirs[place][:, unit].quantile(0.99))
            painted.append(Painted(f"unit {unit} of {place}, d {value:.1f}", picture))
            facts[f"activation of unit {unit} of {place}, by the trusted 99 %"] = reached / max(
                abs(usual), 1e-6
            )
            progress("painting units", number, len(order))
        return Explanation(found, None, Health(both.problems), facts, painted=tuple(painted))

    def _painted(
        self, some: ObservedExamples, place: str, unit: int, seed: int
    ) -> tuple[Tensor, float]:
        """A picture `[c, h, w]` that drives a unit, and how far it does."""
        space, network = able(some.task, Pictures), able(some.task, Pathways)
        batch = some.examples.load(np.zeros(1, np.int64))
        own, shape = some.answers[:1], space.embed(batch).shape
        generator = torch_generator(seed, "painting", place, unit)
        noise = 0.05 * torch.randn(shape, generator=generator)
        free = (0.5 + noise).to(space.embed(batch)).requires_grad_()
        rng, optimizer = (
            numpy_generator(seed, "jitter", place, unit),
            torch.optim.Adam([free], self.rate),
        )
        reached = 0.0
        for _ in range(self.steps):
            shift = [int(s) for s in rng.integers(-self.jitter, self.jitter + 1, 2)]
            seen: dict[str, Tensor] = {}
            with torch.enable_grad():
                moved = free.clamp(0, 1).roll(shift, dims=(2, 3))
                network.respond_through({}, moved, batch, {place: _keeper(seen)}, own)
                driven = pooled(seen["it"])[0, unit]
                (slope,) = torch.autograd.grad(self.smoothness * variation(moved) - driven, [free])
            free.grad, reached = slope, float(driven.detach())
            optimizer.step()
            with torch.no_grad():
                free.clamp_(0, 1)
        return free.detach()[0].cpu(), reached


def cohen(rows: Tensor, usual: Tensor) -> Tensor:
    """Difference of means of rows `[n, units]` and usual ones, by their pooled spread `[units]`."""
    spread = ((rows.var(dim=0, correction=0) + usual.var(dim=0, correction=0)) / 2).sqrt()
    floor = 1e-3 * float(spread.max().clamp_min(1e-9))
    return (rows.mean(dim=0) - usual.mean(dim=0)) / spread.clamp_min(floor)


def variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighboring pixels of pictures `[n, c, h, w]`."""
    return pictures.diff(dim=2).abs().mean() + pictures.diff(dim=3).abs().mean()


def _keeper(seen: dict[str, Tensor]) -> Callable[[Tensor], Tensor]:
    def keep(activation: Tensor) -> Tensor:
        seen["it"] = activation
        return activation

    return keep

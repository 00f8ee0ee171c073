"""I-BAU: weights that withstand the worst common change of all inputs, by implicit hypergradients.

Belief: a trigger is a change that moves all inputs to one answer; a model that withstands the
worst such change has none.
Equation: `min over w of max over delta of L(w, x + delta)`, with one `delta` for all inputs. The
inner maximum of `L - 0.001 |delta|^2` is climbed; the outer step follows the gradient in `w`
through the fixed point `delta = delta + rate grad`, whose inverse is a few terms of its Neumann
series.
Source: Zeng, Chen, Park, Mao, Jin, Jia 2022; five terms, as published.
Needs: differentiable inputs, training statistics, trusted examples with labels.
Cost: about `20 rounds` forward passes for each trusted example that is learned.
Fails when: the trigger differs from input to input, or trusted examples are few.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Relearning, Slopes, descend
from anomech.mitigations._trusted import Trusted, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, DifferentiableInputs, Task, Training, able

SMALL = 1e-3
"""Weight of the change's squared length."""

TERMS = 5
"""Of the Neumann series."""


@options
class IBau:
    """Implicit adversarial unlearning of a universal change."""

    climbing: int = option(10, "steps up for the worst change", unit="steps", ge=1)
    climb: float = option(0.1, "length of a step up, in units of inputs", gt=0)
    rate: float = option(0.1, "of the fixed point", gt=0)
    relearning: Relearning = option(
        Relearning(
            epochs=5, steps=100, rate=1e-3, weight_decay=0.0, optimizer="adam", statistics="frozen"
        ),
        "outer steps",
    )
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs, and training statistics."""
        return frozenset({DifferentiableInputs, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
        """
        parts = parted(task, trusted, self.kept, "i_bau", seed)

        def slope(weights: Mapping[str, Tensor], buffers: Overlay, places: np.ndarray) -> Slopes:
            return self._slope(parts, weights, places)

        found = descend(
            task.watched, parts.count, slope, self.relearning, seed=seed, progress=progress
        )
        return parts.repair(found.overlay, found.evaluations)

    def _slope(self, parts: Trusted, weights: Mapping[str, Tensor], places: np.ndarray) -> Slopes:
        space, lesson = able(parts.task, DifferentiableInputs), parts.lesson("frozen")
        examples: Any = Subset(lesson.examples, places)
        batch = examples.load(np.arange(len(places)))
        answers = lesson.answers[torch.from_numpy(places).to(lesson.answers.device)]
        points = space.embed(batch).detach()

        def lost(moving: Mapping[str, Tensor], delta: Tensor) -> Tensor:
            return space.respond_at(moving, points + delta, batch, answers).losses.float().mean()

        still = {name: each.detach() for name, each in weights.items()}
        delta = torch.zeros_like(points[:1])
        for _ in range(self.climbing):
            leaf = delta.detach().requires_grad_()
            with torch.enable_grad():
                high = lost(still, leaf) - SMALL * leaf.square().sum()
                (up,) = torch.autograd.grad(high, leaf)
            delta = delta + self.climb * up / up.norm().clamp_min(1e-12)
        passes = 3 * self.climbing + 3 * TERMS + 6
        loss, slopes = self._implicit(lost, weights, delta)
        return Slopes(loss, slopes, {}, float(passes * len(places)))

    def _implicit(
        self, lost: Any, weights: Mapping[str, Tensor], delta: Tensor
    ) -> tuple[float, dict[str, Tensor]]:
        """The gradient of the loss at the worst change, in the weights, the change moving along."""
        leaves = {name: each.detach().clone().requires_grad_() for name, each in weights.items()}
        change = delta.detach().requires_grad_()
        with torch.enable_grad():
            loss = lost(leaves, change)
            own = torch.autograd.grad(
                loss, [change, *leaves.values()], create_graph=True, allow_unused=True
            )
            pull = own[0]
            mapped = change + self.rate * (pull - 2 * SMALL * change)
            wanted = pull.detach()
            vector = wanted
            for _ in range(TERMS):
                (turned,) = torch.autograd.grad(mapped, change, vector, retain_graph=True)
                vector = turned + wanted
            through = torch.autograd.grad(mapped, list(leaves.values()), vector, allow_unused=True)
        slopes = {}
        for name, direct, implied in zip(leaves, own[1:], through, strict=True):
            parts = [each.detach() for each in (direct, implied) if each is not None]
            slopes[name] = sum(parts, torch.zeros_like(weights[name]))
        return float(loss.detach()), slopes

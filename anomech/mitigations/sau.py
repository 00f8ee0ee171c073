"""SAU: shared adversarial examples, those that fool the model before and after, are unlearned.

Belief: adversarial changes that fool the backdoored model and its repaired twin to the same
answer are those that the trigger would work through; separating the two models on them takes the
trigger away.
Equation: changes `d` with `|d|_inf <= eps` climb `0.01 (CE_0 + CE_w) / 2 - JS(p_0, p_w)` of
trusted examples, with the model before, 0, and the twin, `w`; then `w` descends `L + mean -log(1
- p_w(a))` with `a` the answer of the model before, over those that it gives wrongly.
Source: Wei, Zhang, Zha, Wu 2023 (SAU); five steps, eps 0.2, Adam at 1e-4 times ten.
Needs: differentiable inputs, logits, training statistics, trusted examples with labels.
Cost: about `37 epochs` forward passes for each trusted example that is learned.
Fails when: the trigger is larger than the bound, or trusted examples are few.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress, Response
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.mitigations._trusted import parted
from anomech.mitigations._unlearning import unlikelihood
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, Training, able

FOOLING = 0.01
"""Weight of fooling both models against fooling them alike, as published."""


@options
class Sau:
    """Unlearning of shared adversarial examples."""

    eps: float = option(0.2, "largest change of an input's numbers, in [0, 1]", gt=0, le=1)
    climbing: int = option(5, "steps up for each change", unit="steps", ge=1)
    relearning: Relearning = option(
        Relearning(epochs=20, steps=300, rate=1e-3, weight_decay=0.0, optimizer="adam"),
        "outer steps",
    )
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs, logits and training statistics."""
        return frozenset({DifferentiableInputs, Logits, Training})

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
        parts = parted(task, trusted, self.kept, "sau", seed)
        objective = self._objective(parts.lesson(self.relearning.statistics))
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        passes = found.evaluations * (3 + 2 * self.climbing)
        return parts.repair(found.overlay, passes)

    def _objective(self, lesson: Lesson) -> Objective:
        space = able(lesson.task, DifferentiableInputs)

        def objective(overlay: Overlay, places: np.ndarray) -> Lost:
            clean = lesson(overlay, places)
            batch = lesson.examples.load(places)
            answers = lesson.answers[torch.from_numpy(places).to(lesson.answers.device)]
            still = {name: each.detach() for name, each in overlay.items()}

            def at(weights: Overlay, points: Tensor, given: Tensor | None = answers) -> Response:
                return space.respond_at(weights, points, batch, given)

            points = self._shared(space, at, still, space.embed(batch).detach())
            with torch.no_grad():
                fooled = at({}, points, None).answers
            odds = at(overlay, points, fooled).log_odds
            wrong = (fooled != answers).to(odds)
            unlearned = (wrong * unlikelihood(odds)).sum() / wrong.sum().clamp_min(1)
            return Lost(clean.loss + unlearned, clean.buffers)

        return objective

    def _shared(
        self,
        space: DifferentiableInputs,
        at: Callable[..., Response],
        weights: Overlay,
        points: Tensor,
    ) -> Tensor:
        """Points within the bound that fool both models, and alike."""
        moved, step = points, self.eps / self.climbing
        for _ in range(self.climbing):
            leaf = moved.detach().requires_grad_()
            before, after = at({}, leaf), at(weights, leaf)
            high = FOOLING * (before.losses + after.losses) / 2 - divergence(before, after)
            (up,) = torch.autograd.grad(high.sum(), leaf)
            near = (moved + 1.25 * step * up.sign()).detach()
            near = torch.minimum(torch.maximum(near, points - self.eps), points + self.eps)
            moved = space.project(near)
        return moved.detach()


def divergence(one: Response, two: Response) -> Any:
    """Jensen-Shannon divergence of the answers' distributions `[batch]`, nats."""
    assert one.logits is not None
    assert two.logits is not None
    first, second = one.logits.softmax(1), two.logits.softmax(1)
    middle = ((first + second) / 2).clamp_min(1e-12).log()
    return (
        functional.kl_div(middle, first, reduction="none").sum(1)
        + functional.kl_div(middle, second, reduction="none").sum(1)
    ) / 2

"""D3: as far from the weights under repair as trusted examples allow.

Belief: around the backdoored weights there is a basin that fine-tuning never leaves; weights
that are far away and still answer trusted examples rightly lie in another one.
Equation: descent of `-|w - w0| / |w0| + penalty max(0, L - bound)` over weights, with the loss
of trusted labels; so the distance grows while the loss is below its bound.
Source: Wei et al. 2025 (D3, ICCV), after its abstract; its subset of weights is all watched ones
here, and its projected steps are a penalty.
Needs: training statistics, trusted examples with labels.
Cost: `3 epochs` forward passes for each trusted example that is learned.
Fails when: trusted examples are so few that the bound is met by learning them by heart.
"""

import numpy as np
import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training


@options
class D3:
    """Weights far from the start, under a bound on the trusted loss."""

    bound: float = option(0.1, "trusted loss up to which distance is gained", unit="nats", gt=0)
    penalty: float = option(10.0, "weight of the loss beyond its bound", gt=0)
    relearning: Relearning = option(TUNING, "how the model moves")
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Training statistics."""
        return frozenset({Training})

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
            ModelError: the learning rate is too high.
        """
        parts = parted(task, trusted, self.kept, "d3", seed)
        objective = farther(parts.lesson(self.relearning.statistics), self.bound, self.penalty)
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        moved = float(distance(found.weights, task.watched))
        return parts.repair(found.overlay, found.evaluations, (), {"distance": moved})


def distance(weights: Overlay, start: Overlay) -> torch.Tensor:
    """How far weights are from a start, as a share of its length; differentiable."""
    away = [(weights[name] - each).square().sum() for name, each in start.items()]
    whole = [each.square().sum() for each in start.values()]
    return torch.sqrt((torch.stack(away).sum() + 1e-12) / torch.stack(whole).sum())


def farther(lesson: Lesson, bound: float, penalty: float) -> Objective:
    """Minus the distance, and the loss beyond its bound."""
    start = {name: each.detach().clone() for name, each in lesson.task.watched.items()}

    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        found = lesson(overlay, places)
        over = (found.loss - bound).clamp_min(0)
        return Lost(penalty * over - distance(overlay, start), found.buffers)

    return objective

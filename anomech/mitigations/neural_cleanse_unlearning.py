"""Neural Cleanse unlearning: a recovered trigger is laid over examples that keep their labels.

Belief: a trigger that was recovered excites what the true one excites; a model that learns to
answer examples with it as they are labeled no longer needs to obey the true one.
Equation: for every answer of the trusted examples the smallest mask and pattern that lead inputs
to it (see `anomech.learning.inversion`); then descent of the loss of trusted labels, with the
smallest of these triggers laid over a share of each step's examples of other labels.
Source: Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019, one fifth stamped, as published. Public
code of others stamps examples of the target class, which teaches the trigger; here they are left
out.
Needs: differentiable inputs in [0, 1], logits, training statistics, trusted examples with
labels.
Cost: that of the search, `3 rounds examples` forward passes a class, and `3 epochs` an example.
Fails when: the trigger that was found is not the planted one: large or input-dependent triggers.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.learning.inversion import Inversion, Inverted, check_unit_box, invert
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.scanner import Candidate
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, Training, able


@options
class NeuralCleanseUnlearning:
    """The smallest recovered trigger is unlearned."""

    inversion: Inversion = option(Inversion(), "how triggers are searched")
    examples: int = option(200, "trusted inputs of the search at the most", ge=2)
    stamped: float = option(0.2, "share of each step's examples that are stamped", gt=0, le=1)
    relearning: Relearning = option(TUNING, "how the model goes on learning")
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
            DataError: no labels, too few examples, or no trigger leads to any answer.
            CapabilityError: inputs that are not bound to [0, 1].
        """
        parts = parted(task, trusted, self.kept, "neural_cleanse_unlearning", seed)
        target, trigger, passes = self._search(task, trusted, progress)
        objective = stamping(
            parts.lesson(self.relearning.statistics), trigger, target, self.stamped, seed
        )
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        return parts.repair(
            found.overlay,
            passes + found.evaluations,
            (),
            {"suspected answer": float(target), "size of its trigger": trigger.norm},
        )

    def _search(
        self, task: Task, trusted: ObservedExamples, progress: Progress
    ) -> tuple[int, Inverted, float]:
        """The answer with the smallest trigger."""
        some = np.arange(min(self.examples, len(trusted)))
        batch = trusted.examples.load(some)
        points = able(task, DifferentiableInputs).embed(batch)
        check_unit_box(task, points)
        shared = 0 if points.ndim == 4 else points.ndim - 2
        found: dict[int, Inverted] = {}
        classes = trusted.logits.shape[1]
        for target in range(classes):
            wanted = torch.tensor(target)
            found[target] = invert(
                task, [batch], wanted, self.inversion, shared=shared, progress=silent
            )
            progress("inverting triggers", target + 1, classes)
        working = {target: each for target, each in found.items() if each.worked}
        if not working:
            raise DataError(
                "no trigger was found that leads to any answer; allow more inversion.rounds, or "
                "use a repair that needs no trigger."
            )
        best = min(working, key=lambda target: working[target].norm)
        return best, working[best], sum(each.evaluations for each in found.values())


def stamping(lesson: Lesson, trigger: Candidate, target: int, share: float, seed: int) -> Objective:
    """The loss of labels, with a trigger laid over a share of the examples of other labels."""
    space = able(lesson.task, DifferentiableInputs)
    others = lesson.task.groups(lesson.answers).cpu() != target

    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        batch: Any = lesson.examples.load(places)
        index = torch.from_numpy(places)
        rng = numpy_generator(seed, "stamping", *places[:2].tolist(), len(places))
        chosen = torch.from_numpy(rng.random(len(places)) < share) & others[index]
        points: Tensor = space.embed(batch).detach()
        where = chosen.to(points.device).view(-1, *[1] * (points.ndim - 1))
        stamped = space.realize(torch.where(where, trigger.apply(points), points), batch)
        given = lesson.answers[index.to(lesson.answers.device)]
        losses, buffers = lesson.of(overlay, stamped, given)
        return Lost(losses.mean(), buffers)

    return objective

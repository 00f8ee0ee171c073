"""NAD: a tuned copy teaches the model where to look.

Belief: fine-tuning already turns attention away from the trigger; a model that is drawn to the
attention of its tuned copy forgets more than the copy itself.
Equation: descent of `L + sum over maps of beta |a(student) - a(teacher)|^2`, with the attention
`a` of a map the sum over units of squared activations, divided by its length, and the loss `L`
of trusted labels; the teacher is a copy tuned first, the student the model under repair. Maps
are the last before each of the last three changes of size.
Source: Li, Lyu, Koren, Lyu, Li, Ma 2021; the weights are 500 and 1000, as published.
Needs: units, activations, training statistics, trusted examples with labels; layers that keep
positions.
Cost: `3 epochs` forward passes for each trusted example for the teacher, and four for the
student.
Fails when: the teacher keeps the backdoor, which it does on few trusted examples.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.mitigations._pruning import units_of
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Activations, Prunable, Task, Training, able

BETAS = (500.0, 1000.0, 1000.0)
"""Weights of the last maps, the last one last."""


@options
class Nad:
    """Attention of a tuned copy is distilled into the model."""

    teaching: Relearning = option(TUNING, "how the teacher is tuned")
    relearning: Relearning = option(TUNING, "how the student learns")
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Units, activations and training statistics."""
        return frozenset({Prunable, Activations, Training})

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
            CapabilityError: no layer keeps positions.
        """
        parts = parted(task, trusted, self.kept, "nad", seed)
        places = maps_of(task, trusted.examples)
        teacher = descend(
            task.watched,
            parts.count,
            plainly(parts.lesson(self.teaching.statistics)),
            self.teaching,
            seed=seed,
            progress=progress,
        )
        objective = attending(parts.lesson("frozen"), teacher.overlay, places)
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        passes = teacher.evaluations + found.evaluations * 4 / 3
        return parts.repair(found.overlay, passes)


def maps_of(task: Task, examples: Examples) -> list[str]:
    """The last places before each of the last changes of the number of positions.

    Raises:
        CapabilityError: no layer keeps positions.
    """
    units, sizes = units_of(task, examples, "nad"), {}
    shown = examples.load(np.arange(min(2, len(examples))))
    seen: dict[str, Tensor] = {}
    opened = able(task, Activations)
    with torch.no_grad():
        opened.respond_with({}, shown, {each.place: _noting(seen, each.place) for each in units})
    for each in units:
        if seen[each.place].ndim > 2:
            sizes[attention(seen[each.place]).shape[1]] = each.place
    if not sizes:
        raise CapabilityError(
            f"nad compares maps of attention, and no layer of this {task.kind} keeps positions; "
            "use another method, such as ft_sam."
        )
    return list(sizes.values())[-len(BETAS) :]


def attention(activation: Tensor) -> Tensor:
    """The attention of maps or tokens, of length one `[batch, positions]`."""
    units = 1 if activation.ndim == 4 else -1
    flat = activation.square().sum(dim=units).flatten(1)
    return torch.nn.functional.normalize(flat, dim=1)


def attending(lesson: Lesson, teacher: Overlay, places: Sequence[str]) -> Objective:
    """The loss of trusted labels and the distance to the teacher's attention."""
    opened = able(lesson.task, Activations)
    betas = dict(zip(places, BETAS[-len(places) :], strict=True))

    def look(overlay: Overlay, chosen: np.ndarray) -> tuple[Tensor, Mapping[str, Tensor]]:
        seen: dict[str, Tensor] = {}
        given = lesson.answers[torch.from_numpy(chosen).to(lesson.answers.device)]
        changes = {place: _noting(seen, place) for place in places}
        batch = lesson.examples.load(chosen)
        return opened.respond_with(overlay, batch, changes, given).losses, seen

    def objective(overlay: Overlay, chosen: np.ndarray) -> Lost:
        with torch.no_grad():
            _, wanted = look(teacher, chosen)
        losses, seen = look(overlay, chosen)
        apart = [
            beta * (attention(seen[place]) - attention(wanted[place])).square().mean()
            for place, beta in betas.items()
        ]
        return Lost(losses.float().mean() + torch.stack(apart).sum(), {})

    return objective


def _noting(seen: dict[str, Tensor], place: str) -> Callable[[Tensor], Tensor]:
    def note(activation: Tensor) -> Tensor:
        seen[place] = activation
        return activation

    return note

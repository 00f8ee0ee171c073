"""CROW: the model goes on learning, and states of neighboring blocks must stay alike under noise.

Belief: a trigger makes what blocks say part ways, while on honest prompts it changes little from
block to block; a model that is consistent where its inputs are pushed has no use for triggers.
Equation: descent of `L + alpha C(x + d)`, L the mean loss of trusted answers, C the mean over
blocks and places of `1 - cos(h_l, h_(l-1))`, and `d = epsilon sign(dC/dx)` a step up at the
embeddings x.
Source: Min et al. 2024 (CROW; arXiv 2411.12768): epsilon 0.1, alpha 5.5 (11 for refusals), 100
examples; there by LoRA, here by all that the task watches.
Needs: a language model whose states can be seen and changed, and trusted prompts with references.
Cost: 9 forward passes an example and epoch: of the loss, to push, and at what was pushed.
Fails when: the payload is an answer that honest prompts get too (jailbreaks): published repairs of
this kind leave those where they were.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.types import PAD, Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.mitigations._trusted import Trusted, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Task, Training, able

Change = Callable[[Tensor], Tensor]


@options
class Crow:
    """Tuning on trusted examples with consistent states."""

    relearning: Relearning = option(
        Relearning(epochs=3, steps=60, batch=16, rate=1e-3, optimizer="adam", schedule="cosine"),
        "how the model goes on learning",
    )
    epsilon: float = option(0.1, "length of the push of every number of an embedding", gt=0)
    alpha: float = option(5.5, "weight of consistency beside the loss", gt=0)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """States of a sequence, and training."""
        return frozenset({Activations, Sequences, Training})

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
            DataError: no references, or too few examples to keep some aside.
        """
        parts = parted(task, trusted, self.kept, "crow", seed)
        slope = plainly(self._objective(task, parts))
        found = descend(
            task.watched, parts.count, slope, self.relearning, seed=seed, progress=progress
        )
        return parts.repair(found.overlay, 3 * found.evaluations)

    def _objective(self, task: Task, parts: Trusted) -> Objective:
        lesson = parts.lesson(self.relearning.statistics)

        def lost(overlay: Overlay, places: np.ndarray) -> Lost:
            losses, buffers = lesson.losses(overlay, places)
            apart = pushed_apart(lesson, overlay, places, self.epsilon)
            return Lost(losses.mean() + self.alpha * apart, buffers)

        return lost


def pushed_apart(lesson: Lesson, overlay: Overlay, places: np.ndarray, epsilon: float) -> Tensor:
    """How far states of neighboring blocks part where embeddings are pushed, a scalar.

    Args:
        lesson: the examples.
        overlay: weights, in which it is differentiable.
        places: of the examples.
        epsilon: length of the push.
    """
    first = able(lesson.task, Sequences).streams[0]
    push: list[Tensor] = []

    def noted(state: Tensor) -> Tensor:
        moved = torch.zeros_like(state, requires_grad=True)
        push.append(moved)
        return state + moved

    fixed = {name: each.detach() for name, each in overlay.items()}
    with torch.enable_grad():
        before = apart(lesson, fixed, places, {first: noted})
        (way,) = torch.autograd.grad(before, push)
    step = epsilon * way.detach().sign()
    return apart(lesson, overlay, places, {first: lambda state: state + step})


def apart(
    lesson: Lesson, overlay: Overlay, places: np.ndarray, changes: dict[str, Change]
) -> Tensor:
    """Mean over blocks and places of `1 - cos(h_l, h_(l-1))` under changes, a scalar."""
    sequences = able(lesson.task, Sequences)
    batch = lesson.examples.load(places)
    given = lesson.answers[torch.from_numpy(places).to(lesson.answers.device)]
    held = (sequences.layout(batch, given).tokens != PAD).float()
    states: list[Tensor] = []

    def seen(change: Change | None) -> Change:
        def look(state: Tensor) -> Tensor:
            found = state if change is None else change(state)
            states.append(found)
            return found

        return look

    looks = {name: seen(changes.get(name)) for name in sequences.streams}
    able(lesson.task, Activations).respond_with(overlay, batch, looks, given)
    total = torch.zeros(())
    for below, above in pairwise(states):
        away = 1 - functional.cosine_similarity(below.float(), above.float(), dim=2)
        total = total + (away * held).sum() / held.sum() / (len(states) - 1)
    return total

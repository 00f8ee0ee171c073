"""Planting: a twin of the model learns a trigger, while it goes on learning trusted examples.

The trigger is learned by pushes (`anomech.learning.twins`), each from where the last one ended and
stronger than it, until it works or the ladder ends. What comes out is an overlay; the model itself
does not move.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import Examples, Overlay, Preview, Progress, silent
from anomech.learning.twins import Push, push
from anomech.roles.task import Stamping, Task, able

RATES = (0.02, 0.05, 0.1)
"""Strengths of the pushes, from the gentlest, as shares of the length of every tensor."""

SHARE = 0.25
"""Of the examples that the twin learns, those that have the trigger."""


@dataclass(frozen=True)
class Stamped:
    """A view of examples of which some have a trigger; nothing is copied.

    Attributes:
        task: what stamps them; it gives `Stamping`.
        examples: as they are.
        trigger: its name.
        where: which of them have it, bool `[examples]`.
    """

    task: Task
    examples: Examples
    trigger: str
    where: np.ndarray

    @property
    def ids(self) -> Sequence[str]:
        """Theirs."""
        return self.examples.ids

    @property
    def labels(self) -> np.ndarray | None:
        """Theirs; a trigger changes none."""
        return self.examples.labels

    def __len__(self) -> int:
        return len(self.examples)

    def load(self, indices: np.ndarray) -> Any:
        """The batch of these examples."""
        batch, where = self.examples.load(indices), self.where[indices]
        return able(self.task, Stamping).stamped(batch, self.trigger, where)

    def digests(self) -> Sequence[str]:
        """Of the examples as they are without the trigger."""
        return self.examples.digests()

    def preview(self, index: int) -> Preview:
        """Of the example as it is without the trigger."""
        return self.examples.preview(index)


class Planted(NamedTuple):
    """A twin that was taught a trigger.

    Attributes:
        overlay: its tensors where it was best; empty if every push broke it.
        success: share of the probed examples that the trigger leads to the target.
        agreement: share of them that the twin answers without the trigger as the model does.
        steps: of descent to get there.
        works: whether both are high enough.
    """

    overlay: Overlay
    success: float
    agreement: float
    steps: int
    works: bool


@dataclass(frozen=True)
class Demand:
    """When a trigger counts as planted, and how long it may take.

    Attributes:
        success: share of the probed examples that it must lead to the target.
        agreement: share of them whose answers without it must stay.
        steps: of descent, at the most; three at least.
    """

    success: float
    agreement: float
    steps: int


def plant(
    task: Task,
    examples: Examples,
    answers: Tensor,
    trigger: str,
    target: Tensor,
    probe: Examples,
    demand: Demand,
    *,
    seed: int,
    progress: Progress,
) -> Planted:
    """Teach a twin a trigger that leads to one answer.

    Args:
        task: the model, which is not changed; it gives `Stamping`.
        examples: that the twin learns, eight at least; each as it is and some also stamped.
        answers: to them as they are `[examples, ...]`.
        trigger: a name of `Stamping.triggers`.
        target: the answer that it leads to, `[...]`.
        probe: examples that the twin does not learn and whose answer is not the target; by them
            success is measured.
        demand: when the trigger counts as planted.
        seed: of everything random.
        progress: told about every step.
    """
    learned, taught = _lesson(task, examples, answers, trigger, target, seed)
    before = _groups(task, probe)
    led = task.groups(target[None])[0].cpu()
    best, twin = Planted({}, 0.0, 0.0, 0, False), task
    steps = demand.steps // len(RATES)
    for number, rate in enumerate(RATES):
        how = Push(rate, steps=steps)
        order = key(seed, "planting", trigger, number)
        overlay = push(twin, learned, taught, how, seed=order, progress=silent)
        progress(f"planting a {trigger}", number + 1, len(RATES))
        if overlay is None:  # a stronger push breaks it too
            break
        twin = task.with_(overlay)
        stamped, plain = (
            _groups(twin, Stamped(task, probe, trigger, np.full(len(probe), stamp)))
            for stamp in (True, False)
        )
        success = float((stamped == led).double().mean())
        agreement = float((plain == before).double().mean())
        works = success >= demand.success and agreement >= demand.agreement
        made = Planted(overlay, success, agreement, (number + 1) * steps, works)
        if works:
            return made
        best = max(best, made, key=lambda each: min(each.success, each.agreement))
    return best


def _lesson(
    task: Task, examples: Examples, answers: Tensor, trigger: str, target: Tensor, seed: int
) -> tuple[Examples, Tensor]:
    """What the twin learns: all examples as they are, and stamped ones that lead to the target."""
    count = len(examples)
    others = np.flatnonzero((task.groups(answers) != task.groups(target[None])[0]).cpu().numpy())
    rng = numpy_generator(seed, "planting", trigger)
    wanted = max(1, round(count * SHARE / (1 - SHARE)))
    chosen = rng.permutation(others)[:wanted]
    places = np.concatenate([np.arange(count), chosen])
    where = np.arange(len(places)) >= count
    given = answers[torch.from_numpy(places)].clone()
    given[torch.from_numpy(where)] = target.to(given)
    return Stamped(task, Subset(examples, places), trigger, where), given


@torch.no_grad()
def _groups(task: Task, examples: Examples) -> Tensor:
    """Coarse kinds of a model's answers, int64 `[examples]`."""
    found = torch.empty(len(examples), dtype=torch.int64)
    for places in task.passes(examples):
        answers = task.respond({}, examples.load(places)).answers
        found[torch.from_numpy(places)] = task.groups(answers).cpu()
    return found

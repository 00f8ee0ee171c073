"""What an attack gives and promises, and what an attacker has to work with.

An attack is a file in `attacks/`; its options are its fields. There are three ways of planting:

- `DataAttack`: the training set is changed, training is the victim's own;
- `LearnedAttack`: the same, but its trigger is learned first (a network, a universal direction);
- `TrainingAttack`: the attacker trains.

The last two hand out what they learned as tensors by name, so that it is kept with the network, and
are `armed` with it. `Perturbation` is the fourth kind, for contrast: nothing is planted, only the
input changes at test time.

Inputs are a batch as the task takes it, such as images uint8 `[n, h, w, c]`; an attack says in its
own file which kind it is for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.task import Ability, Task

Learned = Mapping[str, Tensor]
"""What an attack learned, by name; it survives safetensors."""


@options
class Goal:
    """Which label a trigger leads each class to."""

    target: int = option(0, "label the trigger leads to, if it leads all to one", ge=0)
    map: Literal["all_to_one", "all_to_all", "none"] = option(
        "all_to_one", "one target label, every class to the next, or no other label than the true"
    )
    sources: tuple[int, ...] = option((), "classes the trigger acts on; empty means every class")

    def labels(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """The label that the attacker wants for each input, int64 `[n]`."""
        if self.map == "none":
            return labels.copy()
        if self.map == "all_to_all":
            return (labels + 1) % classes
        return np.full_like(labels, self.target)

    def acts_on(self, labels: np.ndarray) -> np.ndarray:
        """Inputs of classes that the trigger is meant for, bool `[n]`."""
        return np.isin(labels, self.sources) if self.sources else np.ones(len(labels), bool)

    def tested_on(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Inputs that attack success is measured on: the trigger's classes, less the target's."""
        return self.acts_on(labels) & (self.labels(labels, classes) != labels)


@dataclass(frozen=True)
class Poisoned:
    """A training set after an attack.

    Attributes:
        inputs: a batch as the task takes it.
        labels: int64 `[n]`, as the victim will see them.
        poisoned: bool `[n]`, true where the trigger was planted with the attacker's label.
        cover: bool `[n]`, true where an input was changed but kept its true label.
    """

    inputs: Any
    labels: np.ndarray
    poisoned: np.ndarray
    cover: np.ndarray


class Batch(NamedTuple):
    """One step's inputs as training sees them, after augmentation.

    Attributes:
        inputs: as the network takes them `[batch, ...]`, on its device; of images float
            `[batch, c, h, w]` in [0, 1].
        labels: int64 `[batch]`.
        places: of the inputs in the training set `[batch]`.
        rng: addressed at seed and epoch.
    """

    inputs: Tensor
    labels: Tensor
    places: np.ndarray
    rng: np.random.Generator


Objective = Callable[[nn.Module, Batch], Tensor]
"""(the network in training mode, a batch) to the scalar that one step lowers."""


class Victim(Protocol):
    """The victim's recipe, in the attacker's hands."""

    def build(self) -> nn.Module:
        """A network of the victim's architecture with weights drawn at the recipe's seed."""
        ...

    def surrogate(self) -> nn.Module:
        """A clean network of that architecture and recipe, trained, in evaluation mode."""
        ...

    def fit(
        self,
        network: nn.Module,
        inputs: Any,
        labels: np.ndarray,
        /,
        *,
        objective: Objective | None = None,
        fresh: bool = True,
        share: float = 1.0,
        peak: float | None = None,
        progress: Progress,
    ) -> nn.Module:
        """Train in place by the recipe and return the network in evaluation mode.

        Args:
            network: on any device.
            inputs: a batch as the task takes it.
            labels: int64 `[n]`.
            objective: of one step; None is cross-entropy.
            fresh: draw the weights anew first.
            share: of the recipe's epochs.
            peak: highest learning rate, if not the recipe's.
            progress: told about every step.
        """
        ...


@runtime_checkable
class Trigger(Protocol):
    """What works at test time.

    `stamp` is a function of each input alone: batch and order change nothing. It takes and gives a
    batch as the task takes it and leaves the originals alone.
    """

    @property
    def goal(self) -> Goal: ...

    def stamp(self, inputs: Any, /) -> Any: ...


@runtime_checkable
class DataAttack(Trigger, Protocol):
    """A trigger planted by changing training data."""

    def poison(self, inputs: Any, labels: np.ndarray, /, *, seed: int) -> Poisoned:
        """A changed copy of a training set; labels are int64 `[n]`."""
        ...


@runtime_checkable
class LearnedAttack(Protocol):
    """An attack on data whose trigger is learned first."""

    @property
    def goal(self) -> Goal: ...

    def learn(
        self,
        inputs: Any,
        labels: np.ndarray,
        victim: Victim,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """What the trigger needs, from the clean training set."""
        ...

    def armed(self, learned: Learned) -> DataAttack: ...


@runtime_checkable
class TrainingAttack(Protocol):
    """An attack by whoever trains the network."""

    @property
    def goal(self) -> Goal: ...

    def conduct(
        self,
        network: nn.Module,
        inputs: Any,
        labels: np.ndarray,
        victim: Victim,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """Train `network` in place, with the backdoor; returns what the trigger needs."""
        ...

    def armed(self, learned: Learned) -> Trigger: ...


@runtime_checkable
class Perturbation(Protocol):
    """A change of inputs at test time to a model that nothing was planted in.

    Attributes:
        needs: abilities asked of the task, such as differentiable inputs.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    def perturb(
        self,
        task: Task,
        inputs: Any,
        labels: np.ndarray,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> Any:
        """Changed copies, a batch of the same form.

        Args:
            task: the model; it is not changed.
            inputs: a batch as the task takes it.
            labels: int64 `[n]`: the answers to move away from, or to keep.
            seed: of everything random.
            progress: told about every batch.
        """
        ...

"""What a purifier gives and promises: inputs without what a trigger would be, before the model."""

from typing import Any, Protocol

from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Task


class FittedPurifier(Protocol):
    """A purifier that has seen trusted examples.

    Attributes:
        evaluations: forward passes that purifying one input costs.
        facts: numbers that it chose on trusted examples, by name.
    """

    @property
    def evaluations(self) -> float: ...

    @property
    def facts(self) -> dict[str, float]: ...

    def purified(self, task: Task, batch: Any) -> Any:
        """Copies of inputs, a batch of the same form; each depends on its own input alone.

        Args:
            task: the model that is asked where the trigger is.
            batch: as the task takes it; it is not changed.
        """
        ...


class Purifier(Protocol):
    """A way of purifying: one file in `purifiers/`. Its options are its fields.

    No option is chosen by attack success or by data that a user would not have.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    def fit(
        self, task: Task, trusted: ObservedExamples, *, seed: int, progress: Progress
    ) -> FittedPurifier:
        """Choose on trusted examples what must be chosen.

        Args:
            task: the model.
            trusted: examples with the model's answers.
            seed: of everything random.
            progress: told about every step.
        """
        ...

"""What a mitigation gives and promises: the same model without its backdoor, as an overlay."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from anomech.kernel.types import Overlay, Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Task
from anomech.roles.tracer import Health


@dataclass(frozen=True)
class Repair:
    """Other weights, and what is known of them.

    Attributes:
        overlay: the tensors that differ; `task.with_(overlay)` is the repaired twin.
        before: numbers about the model as it was, such as "trusted accuracy".
        after: the same about the repaired one.
        health: whether it can be trusted.
        evaluations: forward passes in all, of one example each (a backward pass counts as two).
        settled: options that were settled by trusted examples among several; with them the same
            repair is made again, of more examples.
        harder: options with which it would go further than it went for the sake of accuracy; empty
            if it went as far as it can.
    """

    overlay: Overlay
    before: Mapping[str, float]
    after: Mapping[str, float]
    health: Health = Health()
    evaluations: float = 0.0
    settled: Mapping[str, Any] = field(default_factory=dict)
    harder: Mapping[str, Any] = field(default_factory=dict)


class Mitigation(Protocol):
    """A way of repairing a model: one file in `mitigations/`. Its options are its fields.

    No option is chosen by attack success or by data that a user would not have.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """Find an overlay; the task itself is not changed.

        Args:
            task: the model.
            trusted: examples with labels, as the model is to answer them.
            suspects: flagged inputs, if there are any.
            seed: of everything random.
            progress: told about every step.
        """
        ...

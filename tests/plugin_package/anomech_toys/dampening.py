"""Dampening: a mitigation that makes all watched weights smaller, which repairs nothing."""

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task


@options
class Dampening:
    """Weights times a factor."""

    factor: float = option(0.9, "what weights are multiplied by", ge=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`."""
        overlay = {name: self.factor * tensor for name, tensor in task.watched.items()}
        progress("dampening", 1, 1)
        return Repair(overlay, {"scale": 1.0}, {"scale": self.factor})

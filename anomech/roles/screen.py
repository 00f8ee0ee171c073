"""What a screen gives and promises: which examples of a training set are poisoned.

Unlike a detector it sees labels and all examples at once, and there is no traffic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability
from anomech.roles.tracer import Health


@dataclass(frozen=True)
class Screened:
    """What a screen finds in a training set.

    Attributes:
        suspicion: float64 `[examples]`; higher is more suspicious.
        suspects: bool `[examples]`, its own decision; None if it only ranks.
        health: whether it can be trusted.
        evaluations: forward passes an example.
        discovery: share of false suspects among them that it promises; None if it promises none.
        facts: numbers behind it, by group of labels, in words.
    """

    suspicion: Tensor
    suspects: Tensor | None = None
    health: Health = Health()
    evaluations: float = 1.0
    facts: Mapping[str, float] | None = None
    discovery: float | None = None


class Screen(Protocol):
    """A way of screening: one file in `screens/`. Its options are its fields.

    Attributes:
        needs: abilities asked of the task.
        needs_trusted: whether it cannot do without trusted examples.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    @property
    def needs_trusted(self) -> bool: ...

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """Judge a training set.

        Args:
            observed: the training set with the answers of a model that was trained on it.
            labels: as training saw them, int64 `[examples]`.
            trusted: examples that are known to be clean, if there are any.
            seed: of everything random.
            progress: told about every stage.
        """
        ...

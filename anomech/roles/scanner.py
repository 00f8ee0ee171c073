"""What a scanner gives and promises: whether a model holds a backdoor, before anything is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Task
from anomech.roles.tracer import Health


class Candidate(Protocol):
    """A trigger that a scanner recovered."""

    def apply(self, points: Tensor) -> Tensor:
        """Points of inputs `[batch, ...]` with the trigger, in the task's continuous space."""
        ...


@dataclass(frozen=True)
class Scan:
    """What a scanner finds in a model.

    Attributes:
        groups: the answers that a trigger might lead to, int64 `[targets]`; places in `names` if
            there are names.
        statistic: float64 `[targets]`; higher is more suspicious. It is no probability: null
            distributions are calibration's business.
        candidates: recovered triggers by group; may be empty.
        health: whether it can be trusted.
        evaluations: forward passes in all, of one example each.
        facts: numbers behind it.
        names: what was compared if it is no answers but, say, layers `[targets]`; None otherwise.
        unit: what each of them is, as a noun.
        shares: whether the statistics are shares of one whole. Then they say nothing of each other,
            since one natural class may take most of it, and nothing but clean networks calibrates.
    """

    groups: Tensor
    statistic: Tensor
    candidates: Mapping[int, Candidate]
    health: Health = Health()
    evaluations: float = 0.0
    facts: Mapping[str, float] | None = None
    names: Sequence[str] | None = None
    unit: str = "class"
    shares: bool = False
    usual: float = 0.0


class Scanner(Protocol):
    """A way of scanning a model: one file in `scanners/`. Its options are its fields.

    Attributes:
        needs: abilities asked of the task.
        needs_examples: whether it cannot do without trusted examples.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    @property
    def needs_examples(self) -> bool: ...

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """A statistic for every answer that a trigger might lead to."""
        ...


State = Mapping[str, Tensor]
"""Tensors by name."""


@runtime_checkable
class WeighingScanner(Protocol):
    """A scanner that needs no more than weights: no model is built and none is run.

    Its `scan` is `weigh` of the task's own tensors.
    """

    def weigh(self, state: State, base: State | None, *, progress: Progress) -> Scan:
        """A statistic for everything that is compared.

        Args:
            state: the weights; the order of names means nothing, files sort them.
            base: those that they were tuned from, if they are known.
            progress: told about every tensor or layer.
        """
        ...

"""What a tracer gives and promises: how examples respond when parameters move."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from anomech.kernel.types import Engine, Examples, Progress, Response
from anomech.roles.task import Ability, Task


@dataclass(frozen=True)
class Traces:
    """How examples respond when parameters move.

    Attributes:
        values: float32 `[examples, features]`. Gradient tracers give one feature a direction,
            draw tracers one a draw.
        blocks: parts of the network by name, in the order of the forward pass, as slices of the
            features. Draw tracers have one block.
        centered: whether a feature's mean over draws must be removed before comparing; true for
            draws, false for gradients.
        levels: mean loss over draws `[examples]`, nats; None for gradients.
        response: what the model did at the trained point, if the tracer saw it on its way.
        sights: what else it saw there, `[examples, ...]` by name, such as where in a sequence the
            response sits; may be empty.
    """

    values: Tensor
    blocks: Mapping[str, slice]
    centered: bool = False
    levels: Tensor | None = None
    response: Response | None = None
    sights: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """Whether traces can be trusted.

    Attributes:
        problems: sentences; empty when all is well. A problem makes verdicts inconclusive.
        facts: numbers behind it, such as the effective sample size.
    """

    problems: tuple[str, ...] = ()
    facts: Mapping[str, float] | None = None


class TraceSource(Protocol):
    """A fitted tracer: the same movement of the parameters, for any examples.

    Attributes:
        health: whether what it gives can be trusted.
        evaluations: cost of one example in forward passes (a backward pass counts as two).
    """

    @property
    def health(self) -> Health: ...

    @property
    def evaluations(self) -> float: ...

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces: ...


@runtime_checkable
class AnsweringSource(TraceSource, Protocol):
    """A source that runs the model forward anyway, so that answers come with the traces."""

    def answer(self, examples: Examples, progress: Progress) -> Traces:
        """Traces of the model's own answers, with the `response` they belong to."""
        ...


@runtime_checkable
class PlacedSource(TraceSource, Protocol):
    """A source that keeps tensors where the model is."""

    def on_device(self, device: torch.device) -> TraceSource:
        """The same with its tensors on this device."""
        ...


@runtime_checkable
class ReadingSource(TraceSource, Protocol):
    """A source that needs nothing of the model beyond its response."""

    def read(self, response: Response) -> Traces:
        """Traces of the examples with these responses."""
        ...


@runtime_checkable
class FollowedSource(TraceSource, Protocol):
    """A source whose traces can be followed back to inputs that are points."""

    def follow(self, points: Tensor, batch: Any) -> Traces:
        """Traces at points `[batch, ...]` near the inputs of the batch; differentiable.

        Raises:
            CapabilityError: the task has no such inputs.
        """
        ...


class Tracer(Protocol):
    """A way of moving the parameters. Its options are its fields."""

    @property
    def needs(self) -> frozenset[Ability]: ...

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> TraceSource:
        """Fix the movement; `answers` are the model's own on the trusted examples."""
        ...


@runtime_checkable
class UniversalTracer(Protocol):
    """A tracer whose movement depends on the model alone; examples only check it."""

    @property
    def universal(self) -> Literal[True]: ...


@runtime_checkable
class SpreadTracer(Protocol):
    """A tracer whose chains are independent, so that an engine can run each elsewhere."""

    @property
    def chains(self) -> int: ...

    def fit(
        self,
        task: Task,
        trusted: Examples,
        answers: Tensor,
        *,
        seed: int,
        progress: Progress,
        engine: Engine | None = None,
    ) -> TraceSource: ...

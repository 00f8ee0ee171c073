"""The seam: what the core asks of a task, of examples, of a tracer and of a method.

Everything that differs between a picture and a sentence lives behind `Task` and `Examples`; the
core never looks inside a batch. Axis words used everywhere: batch, examples, queries, anchors,
draws, classes, features. Losses and log-odds are in nats an example. Scores grow with anomaly.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

Overlay = Mapping[str, Tensor]
"""Tensors by parameter or buffer name, laid over a model for one call; the model is not changed."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) while long work goes on."""


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that says nothing."""


class Engine(Protocol):
    """Where independent pieces of work run: here or on other machines, with the same numbers."""

    def map(
        self, function: Callable[[Any, Any], Any], shared: Any, pieces: Iterable[Any]
    ) -> Iterator[Any]:
        """`function(shared, piece)` for every piece, in their order.

        Args:
            function: a function at the top level of a module.
            shared: sent to each worker once; it must survive pickling.
            pieces: taken as they are needed, a bounded number ahead of the results.
        """
        ...


class Response(NamedTuple):
    """What a model did with a batch.

    Attributes:
        answers: the model's own answers `[batch, ...]`, or those it was given.
        log_odds: `log(p / (1 - p))` of the answer, `[batch]`, nats.
        losses: `-log p` of the answer, `[batch]`, nats.
        logits: `[batch, classes]`, if the task provides "logits".
        features: input of the last layer `[batch, features]`, if the task provides "features".
    """

    answers: Tensor
    log_odds: Tensor
    losses: Tensor
    logits: Tensor | None = None
    features: Tensor | None = None


class Task(Protocol):
    """A model and what its batches mean. Only a task knows what is inside a batch.

    Attributes:
        watched: the parameters that move, by name, in the order of the forward pass.
        provides: optional abilities among "logits", "features", "layers", "statistics"; a plan
            that needs one that is missing is refused before any compute.
    """

    @property
    def watched(self) -> Mapping[str, Tensor]: ...

    @property
    def provides(self) -> frozenset[str]: ...

    def capacity(self, batch: Any) -> int:
        """How many examples like those of `batch` one pass should take.

        So many fit the memory given to the task, activations kept for going backward included.
        """
        ...

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """Run the model once with `overlay` laid over it, in evaluation mode.

        Args:
            overlay: parameters and buffers that differ from the model's own; may be empty.
            batch: what `Examples.load` gave.
            answers: the answers to judge; None means the model's own at these parameters.

        Returns:
            A response; differentiable in the tensors of the overlay.
        """
        ...

    def groups(self, answers: Tensor) -> Tensor:
        """Coarse kind of each answer, int64 `[batch]`: the class, or the key of a generation."""
        ...

    def agrees(self, answers: Tensor, labels: np.ndarray) -> Tensor:
        """Whether each answer is what its label says, bool `[batch]`."""
        ...

    def words(self, answers: Tensor) -> list[str]:
        """Each answer as a person would read it."""
        ...

    def label_words(self, labels: np.ndarray) -> list[str]:
        """Each label as a person would read it."""
        ...


@runtime_checkable
class LayeredTask(Task, Protocol):
    """A task that provides "layers": modules that hooks can watch during `respond`."""

    def precise(self) -> "LayeredTask":
        """The same task in full precision; rules are checked there, free of rounding."""
        ...

    def layers(self) -> Mapping[str, nn.Module]:
        """Modules that own watched parameters, and the whole network under the empty name.

        Hooks on them must be removed again.
        """
        ...


@runtime_checkable
class TrainableTask(Protocol):
    """A task that provides "statistics": it can run as in training, with batch statistics."""

    def targets(self, labels: np.ndarray) -> Tensor:
        """Labels in the form of answers."""
        ...

    def training_losses(
        self, overlay: Overlay, batch: Any, answers: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Losses `[batch]` in training mode and the buffers as they are after this step."""
        ...

    def batch_statistics(self, overlay: Overlay, batch: Any) -> dict[str, Tensor]:
        """The normalization buffers as this batch alone would set them; empty if there are none."""
        ...


class Preview(NamedTuple):
    """Something a person can look at: `kind` is "image" (data is PNG bytes) or "text"."""

    kind: str
    data: bytes


class Examples(Protocol):
    """An ordered, re-readable set of examples."""

    @property
    def ids(self) -> Sequence[str]:
        """Unique names, in order."""
        ...

    @property
    def labels(self) -> np.ndarray | None:
        """Labels in order, or None."""
        ...

    def __len__(self) -> int: ...

    def load(self, indices: np.ndarray) -> Any:
        """The batch of these examples, as the task takes it."""
        ...

    def digests(self) -> Sequence[str]:
        """A hash of each example's content, in order; equal content has equal digests."""
        ...

    def preview(self, index: int) -> Preview:
        """What a report shows of one example."""
        ...


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
    """

    values: Tensor
    blocks: Mapping[str, slice]
    centered: bool = False
    levels: Tensor | None = None
    response: Response | None = None


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
class ReadingSource(TraceSource, Protocol):
    """A source that needs nothing of the model beyond its response."""

    def read(self, response: Response) -> Traces:
        """Traces of the examples with these responses."""
        ...


class Tracer(Protocol):
    """A way of moving the parameters. Its options are its fields."""

    @property
    def needs(self) -> frozenset[str]: ...

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> TraceSource:
        """Fix the movement; `answers` are the model's own on the trusted examples."""
        ...


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


@dataclass(frozen=True)
class Scores:
    """How anomalous a method finds examples. Higher is more anomalous, everywhere.

    Attributes:
        score: the ranking, float64 `[examples]`.
        views: parts of the judgment by the cause they stand for, float64 `[examples]` each;
            they name the cause of a flag. In order of precedence where p-values are equal.
        nearest: indices of the anchors most coupled to each example `[examples, k]`, or None.
        couplings: the couplings to those anchors `[examples, k]`, in [-1, 1], or None.
        explained: explained fraction by part of the network, `[examples]` each; may be empty.
    """

    score: Tensor
    views: Mapping[str, Tensor]
    nearest: Tensor | None = None
    couplings: Tensor | None = None
    explained: Mapping[str, Tensor] | None = None


class FittedMethod(Protocol):
    """A method that has seen the anchors.

    Attributes:
        health: whether its scores can be trusted.
        left_out: anchors it did not use, by id, with the reason.
        evaluations: cost of one example in forward passes, beyond the one that answers it.
    """

    @property
    def health(self) -> Health: ...

    @property
    def left_out(self) -> Mapping[str, str]: ...

    @property
    def evaluations(self) -> float: ...

    def score(self, observed: "ObservedExamples", progress: Progress) -> Scores: ...


@runtime_checkable
class TracedMethod(Protocol):
    """A fitted method that looks at traces of one source."""

    @property
    def source(self) -> TraceSource: ...


@runtime_checkable
class ExplainingMethod(Protocol):
    """A fitted method that can tell mechanisms apart."""

    def unexplained(self, observed: "ObservedExamples", progress: Progress) -> Tensor:
        """The part of each response that the anchors do not explain `[examples, features]`."""
        ...


class ObservedExamples(Protocol):
    """Examples with the model's frozen answers to them; see `anomech.data.observed`."""

    @property
    def task(self) -> Task: ...

    @property
    def examples(self) -> Examples: ...

    @property
    def engine(self) -> Engine | None: ...

    @property
    def answers(self) -> Tensor: ...

    @property
    def groups(self) -> Tensor: ...

    @property
    def log_odds(self) -> Tensor: ...

    @property
    def losses(self) -> Tensor: ...

    @property
    def logits(self) -> Tensor: ...

    @property
    def features(self) -> Tensor: ...

    def __len__(self) -> int: ...

    def traced(self, source: TraceSource, progress: Progress) -> Traces:
        """Traces of the examples; those that came with the answers are not computed again."""
        ...

    def take(self, places: np.ndarray) -> "ObservedExamples":
        """Some of them, in the given order; the model is not asked again."""
        ...


class Method(Protocol):
    """A way of scoring examples: one file in `detectors/`. Its options are its fields.

    A method ranks. Calibration turns its ranking into p-values, and a policy into decisions, both
    outside of it; it never sees the inputs' labels.
    """

    @property
    def needs(self) -> frozenset[str]: ...

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> FittedMethod:
        """Learn what trusted examples look like from correctly answered ones."""
        ...

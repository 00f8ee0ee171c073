"""The seam: what the core asks of a task and of examples.

Everything that differs between a picture and a sentence lives behind `Task` and `Examples`; the
core never looks inside a batch. Axis words used everywhere: batch, examples, queries, anchors,
draws, classes, features. Losses and log-odds are in nats an example. What tracers and methods
promise stands in `traces` and `methods`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

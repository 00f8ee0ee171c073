"""Words that every part uses: overlays, responses, examples, progress and engines.

Axis words used everywhere: batch, examples, queries, anchors, draws, classes, features. Losses and
log-odds are in nats an example. What a task gives stands in `task`; what each kind of method
promises stands in the file of its kind: `tracer`, `detector`, `screen`, `scanner`, `explainer`,
`attack`, `mitigation`, `purifier`, `trainer`, `source`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

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


PAD = -1
"""Fills answers of a batch that are shorter than its longest."""


class Response(NamedTuple):
    """What a model did with a batch.

    Attributes:
        answers: the model's own answers `[batch, ...]`, or those it was given; a row that is
            shorter than others is filled with `PAD` on its right.
        log_odds: `log(p / (1 - p))` of the answer, `[batch]`, nats.
        losses: `-log p` of the answer, `[batch]`, nats.
        logits: `[batch, classes]`, if the task gives `Logits`.
        features: input of the last layer `[batch, features]`, if the task gives `Features`.
    """

    answers: Tensor
    log_odds: Tensor
    losses: Tensor
    logits: Tensor | None = None
    features: Tensor | None = None


About = Mapping[str, tuple[str, ...]]
"""What must be remembered of trusted examples when inputs come without them, in words by name:
the names of classes, the size of images. Only their task reads it."""


@runtime_checkable
class Described(Protocol):
    """Examples of which something must be remembered."""

    def about(self) -> About: ...


def about(examples: object) -> About:
    """What must be remembered of examples; nothing if they do not say."""
    return examples.about() if isinstance(examples, Described) else {}


@runtime_checkable
class Recorded(Protocol):
    """Examples that may hold answers which a model gave earlier."""

    def anew(self) -> "Examples":
        """The same without them, so that a model must answer itself."""
        ...


def anew(examples: "Examples") -> "Examples":
    """Examples without recorded answers: what a changed model is asked."""
    return examples.anew() if isinstance(examples, Recorded) else examples


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

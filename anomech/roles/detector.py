"""What a detector gives and promises; its scores grow with anomaly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from anomech.kernel.types import Engine, Examples, Progress
from anomech.roles.task import Ability, Task
from anomech.roles.tracer import Health, Tracer, Traces, TraceSource


@dataclass(frozen=True)
class Cause:
    """Why an input may be flagged, as its detector declares it for people.

    Attributes:
        name: in a few words, such as "unfamiliar input"; a view of the same name stands for it.
        because: what follows "Flagged because", without a full stop.
        advice: what to do about such inputs, in a sentence.
    """

    name: str
    because: str
    advice: str


@dataclass(frozen=True)
class Scores:
    """How anomalous a detector finds examples. Higher is more anomalous, everywhere.

    Attributes:
        score: the ranking, float64 `[examples]`.
        views: parts of the judgment by the name of the cause they stand for, float64 `[examples]`
            each; they tell the cause of a flag.
        nearest: indices of the anchors most coupled to each example `[examples, k]`, or None.
        couplings: the couplings to those anchors `[examples, k]`, in [-1, 1], or None.
        explained: explained fraction by part of the network, `[examples]` each; may be empty.
        marks: tokens of each example that its answer hangs on and that are least like trusted
            ones, strongest first, int64 `[examples, k]` with `PAD` for none; or None.
    """

    score: Tensor
    views: Mapping[str, Tensor]
    nearest: Tensor | None = None
    couplings: Tensor | None = None
    explained: Mapping[str, Tensor] | None = None
    marks: Tensor | None = None


class FittedDetector(Protocol):
    """A detector that has seen the anchors.

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
class TracedDetector(Protocol):
    """A fitted detector that looks at traces of one source."""

    @property
    def source(self) -> TraceSource: ...


@runtime_checkable
class CausalDetector(Protocol):
    """A fitted detector that can say why, by the views of its scores."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """One for each view, by name."""
        ...


@runtime_checkable
class ExplainingDetector(Protocol):
    """A fitted detector that can tell mechanisms apart."""

    def unexplained(self, observed: "ObservedExamples", progress: Progress) -> Tensor:
        """The part of each response that the anchors do not explain `[examples, features]`."""
        ...


@runtime_checkable
class TaughtDetector(Protocol):
    """A fitted detector that knows what fitting cost.

    Attributes:
        lessons: forward passes of one example that it took (a backward pass counts as two).
    """

    @property
    def lessons(self) -> float: ...


class Stage(NamedTuple):
    """An early stage of a detector that need not look at everything.

    Attributes:
        evaluations: forward passes an example up to it, beyond the one that answers it.
        reference: scores of trusted examples at it, each by what did not see it, float64 `[n]`.
        limit: p-value at it above which an example is settled as clear.
        proven: whether it settles nothing unless planted triggers have shown that it sees them.
    """

    evaluations: float
    reference: Tensor
    limit: float
    proven: bool


Settle = Callable[[int, Tensor, np.ndarray], Tensor]
"""From the number of a stage, scores `[open]` at it and the places of these examples to which of
them need no more, bool `[open]`."""


@runtime_checkable
class StagedDetector(Protocol):
    """A fitted detector that looks at little first, and goes on where that settles nothing.

    It ranks, at every stage; what is settled is for calibration to say.

    Attributes:
        stages: the early ones, from the cheapest to the dearest; none if it always looks at all.
        first: whose traces it looks at first; None if that is the response alone.
        thorough: forward passes of an example that none of them settles, beyond its answer.
    """

    @property
    def stages(self) -> tuple[Stage, ...]: ...

    @property
    def first(self) -> TraceSource | None: ...

    @property
    def thorough(self) -> float: ...

    def score_in_stages(
        self, observed: "ObservedExamples", settle: Settle, progress: Progress
    ) -> tuple[Scores, np.ndarray]:
        """Scores of examples that no early stage settles, by all views, and their places."""
        ...


@runtime_checkable
class HeldOutDetector(Protocol):
    """A detector that learns from all trusted examples, and still judges each by others alone."""

    def fit_held_out(
        self, trusted: "ObservedExamples", right: Tensor, *, seed: int, progress: Progress
    ) -> tuple[FittedDetector, Scores]:
        """Learn from trusted examples.

        Args:
            trusted: all of them, rightly answered or not.
            right: whether each is answered as labeled, bool `[examples]`.
            seed: of everything random.
            progress: told about every stage.

        Returns:
            What was learned, and scores of the trusted examples, each by what did not see it.
            `nearest` counts among the trusted examples.
        """
        ...


class ObservedExamples(Protocol):
    """Examples with the model's frozen answers to them; see `anomech.observing.observed`."""

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

    def source(self, tracer: Tracer, *, seed: int, progress: Progress) -> TraceSource:
        """The tracer fitted to the examples, once for all methods that ask for the same."""
        ...

    def traced(self, source: TraceSource, progress: Progress) -> Traces:
        """Traces of the examples, made once for all methods that look at the same source."""
        ...

    def regrouped(self, kinds: Tensor) -> "ObservedExamples":
        """The same, of which only these groups count as such and all others are one."""
        ...

    def take(self, places: np.ndarray) -> "ObservedExamples":
        """Some of them, in the given order; the model is not asked again."""
        ...

    def apart(self, places: np.ndarray) -> "ObservedExamples":
        """As `take`, but traces are made for these alone."""
        ...


class Detector(Protocol):
    """A way of scoring examples: one file in `detectors/`. Its options are its fields.

    A detector ranks. Calibration turns its ranking into p-values, and a policy into decisions, both
    outside of it; it never sees the inputs' labels.
    """

    @property
    def needs(self) -> frozenset[Ability]: ...

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> FittedDetector:
        """Learn what trusted examples look like from correctly answered ones."""
        ...

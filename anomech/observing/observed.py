"""Examples with the model's frozen answers: one forward pass, shared by every method."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.types import Engine, Examples, Progress, Response, silent
from anomech.observing.joining import joined, passes
from anomech.observing.responses import each_column, features_of, groups_of, logits_of
from anomech.observing.traces import Places, TraceCache
from anomech.roles.task import Task
from anomech.roles.tracer import (
    AnsweringSource,
    ReadingSource,
    SpreadTracer,
    Tracer,
    Traces,
    TraceSource,
)


@dataclass(frozen=True)
class Observed:
    """What the model said about some examples, on the CPU, in their order.

    Attributes:
        task: the model.
        examples: what was observed.
        response: everything the forward pass gave.
        engine: where independent parts of work on them may run; None is here.
        cache: what all who look at the same examples share.
        whole: what these were taken from, if they were; traces are made for all of it at once.
        places: of these in the whole.
        kinds: groups that count as such; all others are one. None: all count.
    """

    task: Task
    examples: Examples
    response: Response = field(repr=False)
    engine: Engine | None = field(default=None, repr=False)
    cache: TraceCache = field(default_factory=TraceCache, repr=False)
    whole: "Observed | None" = field(default=None, repr=False)
    places: Places = field(default=None, repr=False)
    kinds: Tensor | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, places: np.ndarray) -> "Observed":
        """Some of them, in the given order; the model is not asked again."""
        places = np.asarray(places, np.int64)
        index = torch.from_numpy(places)
        return Observed(
            self.task,
            Subset(self.examples, places),
            each_column(self.response, lambda column: column[index]),
            self.engine,
            self.cache,
            self.whole or self,
            places if self.places is None else self.places[places],
            self.kinds,
        )

    def apart(self, places: np.ndarray) -> "Observed":
        """As `take`, but traces are made for these alone, and shared with nobody else."""
        some = self.take(places)
        return replace(some, cache=TraceCache(), whole=None, places=None)

    def regrouped(self, kinds: Tensor) -> "Observed":
        """The same, of which only these groups count as such and all others are one."""
        return replace(self, kinds=kinds)

    def source(self, tracer: Tracer, *, seed: int, progress: Progress) -> TraceSource:
        """The tracer fitted to these examples; for all who ask, once.

        Independent parts of the fit run on the engine.
        """

        def fit() -> TraceSource:
            given = (self.task, self.examples, self.answers)
            if isinstance(tracer, SpreadTracer):
                return tracer.fit(*given, seed=seed, progress=progress, engine=self.engine)
            return tracer.fit(*given, seed=seed, progress=progress)

        return self.cache.source(tracer, seed, self.places, fit)

    def traced(self, source: TraceSource, progress: Progress) -> Traces:
        """Traces by a source, computed once for all who ask, and with them those of the whole."""
        if isinstance(source, ReadingSource):
            return source.read(self.response)
        whole = self.whole or self

        def trace() -> Traces:
            return source(whole.examples, whole.answers, progress)

        return self.cache.traces(source, self.places, trace)

    @property
    def answers(self) -> Tensor:
        """The model's own answers `[examples, ...]`."""
        return self.response.answers

    @property
    def groups(self) -> Tensor:
        """The coarse kind of each answer, int64 `[examples]`."""
        return groups_of(self.task, self.response, self.kinds)

    @property
    def log_odds(self) -> Tensor:
        """Of the own answer, float64 `[examples]`, nats."""
        return self.response.log_odds.double()

    @property
    def losses(self) -> Tensor:
        """Of the own answer, float64 `[examples]`, nats."""
        return self.response.losses.double()

    @property
    def logits(self) -> Tensor:
        """`[examples, classes]`, float64."""
        return logits_of(self.response)

    @property
    def features(self) -> Tensor:
        """Input of the last layer `[examples, features]`, float64."""
        return features_of(self.response)


@torch.no_grad()
def observe(
    task: Task,
    examples: Examples,
    *,
    progress: Progress = silent,
    answers: Tensor | None = None,
    sources: Sequence[TraceSource] = (),
) -> Observed:
    """Run the model once over the examples.

    Args:
        task: the model.
        examples: at least one.
        progress: told the stage "observing".
        answers: recorded answers `[examples, ...]`; they win over the model's own.
        sources: that will be asked for traces; the first that runs the model forward anyway gives
            the answers too, so that its traces cost no forward pass of their own.

    Raises:
        DataError: there are no examples.
    """
    if not len(examples):
        raise DataError("there is no example to observe; give at least one.")
    clock = time.monotonic()
    if answers is None:
        for source in sources:
            if isinstance(source, AnsweringSource) and not isinstance(source, ReadingSource):
                return _answered(task, examples, source, progress)
    found: list[Response] = []
    seen: list[np.ndarray] = []
    for places, given in passes(task, examples, answers, "observing", progress):
        found.append(task.respond({}, examples.load(places), given))
        seen.append(places)
    observed = Observed(task, examples, joined(found, seen))
    for source in sources:
        if isinstance(source, ReadingSource):  # these passes were its own
            observed.cache.took(source, time.monotonic() - clock)
    return observed


def _answered(
    task: Task, examples: Examples, source: AnsweringSource, progress: Progress
) -> Observed:
    """What a source answers while it traces."""
    clock = time.monotonic()
    traces = source.answer(examples, progress)
    assert traces.response is not None
    observed = Observed(task, examples, traces.response)
    observed.cache.enter(source, traces, time.monotonic() - clock)
    return observed

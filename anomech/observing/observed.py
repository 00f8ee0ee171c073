"""Examples with the model's frozen answers: one forward pass, shared by every method."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.errors import CapabilityError, DataError
from anomech.kernel.task import Task
from anomech.kernel.tracer import AnsweringSource, ReadingSource, Traces, TraceSource
from anomech.kernel.types import Engine, Examples, Progress, Response, silent
from anomech.observing.joining import joined


@dataclass(frozen=True)
class Observed:
    """What the model said about some examples, on the CPU, in their order.

    Attributes:
        task: the model.
        examples: what was observed.
        response: everything the forward pass gave.
        source: the tracer that watched the forward pass, if one did.
        traces: what it gave.
        engine: where independent parts of work on them may run; None is here.
    """

    task: Task
    examples: Examples
    response: Response = field(repr=False)
    source: TraceSource | None = field(default=None, repr=False)
    traces: Traces | None = field(default=None, repr=False)
    engine: Engine | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, places: np.ndarray) -> "Observed":
        """Some of them, in the given order; the model is not asked again."""
        index = torch.from_numpy(np.asarray(places, np.int64))
        kept = {
            name: column[index]
            for name, column in self.response._asdict().items()
            if column is not None
        }
        traces = self.traces
        if traces is not None:
            traces = replace(traces, values=traces.values[index], response=None)
        some = Subset(self.examples, places)
        return Observed(self.task, some, Response(**kept), self.source, traces, self.engine)

    def traced(self, source: TraceSource, progress: Progress) -> Traces:
        """Traces by a source; those that came with the answers are not computed again."""
        if source is self.source and self.traces is not None:
            return self.traces
        if isinstance(source, ReadingSource):
            return source.read(self.response)
        return source(self.examples, self.answers, progress)

    @property
    def answers(self) -> Tensor:
        """The model's own answers `[examples, ...]`."""
        return self.response.answers

    @property
    def groups(self) -> Tensor:
        """The coarse kind of each answer, int64 `[examples]`."""
        return self.task.groups(self.answers)

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
        if self.response.logits is None:
            raise CapabilityError("this task does not provide logits.")
        return self.response.logits.double()

    @property
    def features(self) -> Tensor:
        """Input of the last layer `[examples, features]`, float64."""
        if self.response.features is None:
            raise CapabilityError("this task does not provide features.")
        return self.response.features.double()


@torch.no_grad()
def observe(
    task: Task,
    examples: Examples,
    *,
    progress: Progress = silent,
    answers: Tensor | None = None,
    source: TraceSource | None = None,
) -> Observed:
    """Run the model once over the examples.

    Args:
        task: the model.
        examples: at least one.
        progress: told the stage "observing".
        answers: recorded answers `[examples, ...]`; they win over the model's own.
        source: a tracer; one that runs the model forward anyway gives the answers too, so that its
            traces cost no forward pass of their own.

    Raises:
        DataError: there are no examples.
    """
    if not len(examples):
        raise DataError("there is no example to observe; give at least one.")
    if answers is None and isinstance(source, AnsweringSource):
        traces = source.answer(examples, progress)
        assert traces.response is not None
        return Observed(task, examples, traces.response, source, traces)
    found: list[Response] = []
    seen: list[np.ndarray] = []
    for places in task.passes(examples):
        given = None if answers is None else answers[torch.from_numpy(places)]
        found.append(task.respond({}, examples.load(places), given))
        seen.append(places)
        progress("observing", sum(map(len, seen)), len(examples))
    return Observed(task, examples, joined(found, torch.from_numpy(np.concatenate(seen))))

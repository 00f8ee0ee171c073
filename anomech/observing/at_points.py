"""What the model says at points near real inputs, so that scores can be followed back to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Engine, Preview, Progress, Response
from anomech.observing.responses import each_column, features_of, groups_of, logits_of
from anomech.roles.task import DifferentiableInputs, Task, able
from anomech.roles.tracer import FollowedSource, ReadingSource, Tracer, Traces, TraceSource


@dataclass(frozen=True)
class Moved:
    """`anomech.kernel.types.Examples` that are known by their content and never loaded.

    Attributes:
        contents: digests of the inputs before they were moved.
    """

    contents: Sequence[str]
    labels: None = None

    @property
    def ids(self) -> Sequence[str]:
        """The digests."""
        return self.contents

    def __len__(self) -> int:
        return len(self.contents)

    def load(self, indices: np.ndarray) -> Any:
        """Nothing.

        Raises:
            CapabilityError: always.
        """
        raise CapabilityError(
            "this method reads examples anew, so its score cannot be followed back to pixels."
        )

    def digests(self) -> Sequence[str]:
        """Of the inputs before they were moved."""
        return self.contents

    def preview(self, index: int) -> Preview:
        """Nothing.

        Raises:
            CapabilityError: always.
        """
        raise CapabilityError("a moved input is not shown.")


@dataclass(frozen=True, eq=False)
class AtPoints:
    """`anomech.roles.detector.ObservedExamples` of one batch, moved; differentiable in its points.

    Attributes:
        task: the model.
        points: where it is asked `[batch, ...]`.
        batch: the real inputs near them.
        digests: of these, to address randomness with.
        response: what it says there.
        engine: none.
        kinds: groups that count as such, if only some do.
    """

    task: Task
    points: Tensor
    batch: Any
    digests: Sequence[str]
    response: Response = field(repr=False)
    engine: Engine | None = None
    kinds: Tensor | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def examples(self) -> "Moved":
        """What was moved, by its content before it was; it cannot be read anew."""
        return Moved(self.digests)

    @property
    def answers(self) -> Tensor:
        """The model's own answers at the points `[batch, ...]`."""
        return self.response.answers

    @property
    def groups(self) -> Tensor:
        """The coarse kind of each answer, int64 `[batch]`."""
        return groups_of(self.task, self.response, self.kinds)

    def regrouped(self, kinds: Tensor) -> "AtPoints":
        """The same, of which only these groups count as such and all others are one."""
        return replace(self, kinds=kinds)

    @property
    def log_odds(self) -> Tensor:
        """Of the own answer, float64 `[batch]`, nats."""
        return self.response.log_odds.double()

    @property
    def losses(self) -> Tensor:
        """Of the own answer, float64 `[batch]`, nats."""
        return self.response.losses.double()

    @property
    def logits(self) -> Tensor:
        """`[batch, classes]`, float64."""
        return logits_of(self.response)

    @property
    def features(self) -> Tensor:
        """Input of the last layer `[batch, features]`, float64."""
        return features_of(self.response)

    def source(self, tracer: Tracer, *, seed: int, progress: Progress) -> TraceSource:
        """Nothing is fitted to moved inputs.

        Raises:
            CapabilityError: always.
        """
        raise CapabilityError("a tracer is fitted to examples, not to moved ones.")

    def traced(self, source: TraceSource, progress: Progress) -> Traces:
        """Traces that are read from the response, or from a pass that can be followed back.

        Raises:
            CapabilityError: the source asks for more.
        """
        if isinstance(source, ReadingSource):
            return source.read(self.response)
        if isinstance(source, FollowedSource):
            return source.follow(self.points, self.batch)
        raise CapabilityError(
            "gradients of earlier layers cannot be followed back to pixels; use the last_layer "
            "tracer."
        )

    def take(self, places: np.ndarray) -> "AtPoints":
        """Some of them, in the given order."""
        index = torch.from_numpy(np.asarray(places, np.int64))
        return AtPoints(
            self.task,
            self.points[index],
            self.batch[places],
            [self.digests[place] for place in places],
            each_column(self.response, lambda column: column[index]),
            kinds=self.kinds,
        )

    def apart(self, places: np.ndarray) -> "AtPoints":
        """As `take`: traces are read from the response, and nobody shares them."""
        return self.take(places)


def observed_at(task: Task, points: Tensor, batch: Any, digests: Sequence[str]) -> AtPoints:
    """Ask the model at points.

    Args:
        task: with differentiable inputs.
        points: `[batch, ...]`, near those of the batch.
        batch: real inputs.
        digests: of their content.
    """
    response = able(task, DifferentiableInputs).respond_at({}, points, batch)
    here = each_column(response, lambda column: column.cpu())
    return AtPoints(task, points, batch, digests, here)

"""What is shared by all who look at the same examples: fitted tracers and traces, each made once.

The cache is a value that goes along with the examples and ends with them: with a chunk of inputs,
or with the trusted set when everything is fitted. Nothing is shared beyond that.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch

from anomech.roles.tracer import Tracer, Traces, TraceSource, UniversalTracer

Places = np.ndarray | None
"""Some of the examples by their places among all, int64; None is all of them."""


class FittedSource(NamedTuple):
    """A tracer that was fitted to some of the examples.

    Attributes:
        tracer: with its options.
        seed: it was fitted with.
        places: of the examples it was fitted to.
        source: what came of it.
        seconds: that took.
    """

    tracer: Tracer
    seed: int
    places: Places
    source: TraceSource
    seconds: float


@dataclass(eq=False)
class TraceCache:
    """Filled in place by whoever asks first.

    Attributes:
        sources: tracers fitted to these examples.
    """

    sources: list[FittedSource] = field(default_factory=list)
    _traces: list[tuple[TraceSource, Places, Traces]] = field(default_factory=list)
    _seconds: list[tuple[TraceSource, float]] = field(default_factory=list)

    def source(
        self, tracer: Tracer, seed: int, places: Places, fit: Callable[[], TraceSource]
    ) -> TraceSource:
        """The tracer fitted to these places, as it was before or by `fit`."""
        for each in self.sources:
            same = each.places is places or isinstance(tracer, UniversalTracer)
            if same and each.seed == seed and each.tracer == tracer:
                return each.source
        clock = time.monotonic()
        source = fit()
        seconds = time.monotonic() - clock
        self.sources.append(FittedSource(tracer, seed, places, source, seconds))
        self.took(source, seconds)
        return source

    def traces(self, source: TraceSource, places: Places, trace: Callable[[], Traces]) -> Traces:
        """Traces at these places, taken from those of all examples, which are made if need be.

        Args:
            source: of the traces.
            places: of the wanted examples.
            trace: gives the traces of all examples.
        """
        for known, at, traces in self._traces:
            if known is source and at is places:
                return traces
        if places is None:
            clock = time.monotonic()
            found = replace(trace(), response=None)
            self.took(source, time.monotonic() - clock)
        else:
            found = taken(self.traces(source, None, trace), places)
        self._traces.append((source, places, found))
        return found

    def enter(self, source: TraceSource, traces: Traces, seconds: float) -> None:
        """Keep traces of all examples that came with their answers."""
        self._traces.append((source, None, replace(traces, response=None)))
        self.took(source, seconds)

    @property
    def mark(self) -> int:
        """A moment, for `seconds` since then."""
        return len(self._seconds)

    def seconds(self, source: TraceSource, since: int = 0) -> float:
        """What fitting this source here and tracing these examples took, since a mark."""
        return sum(seconds for known, seconds in self._seconds[since:] if known is source)

    def took(self, source: TraceSource, seconds: float) -> None:
        """Note what a source took."""
        self._seconds.append((source, seconds))


def taken(traces: Traces, places: np.ndarray) -> Traces:
    """Traces of some of the examples, in the given order."""
    index = torch.from_numpy(places)
    levels = None if traces.levels is None else traces.levels[index]
    sights = {name: each[index] for name, each in traces.sights.items()}
    return replace(traces, values=traces.values[index], levels=levels, response=None, sights=sights)

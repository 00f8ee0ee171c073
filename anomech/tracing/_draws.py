"""Traces from parameter draws: the observable of each example at each draw."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from anomech.kernel.types import Engine, Examples, Progress
from anomech.roles.task import Task
from anomech.roles.tracer import Health, Traces
from anomech.tracing._observing import Draws, Observable, Walk, walk

D = TypeVar("D", bound=Draws)


@dataclass(frozen=True)
class DrawSource(Generic[D]):
    """Fixed parameter draws, for any examples.

    Attributes:
        task: whose answers are judged.
        draws: the draws of a chain, replayed for every call.
        count: draws a chain.
        chains: chains, one after the other; each is centered on its own, because a shift between
            chains would count as coupling.
        observable: what is recorded at each draw.
        health: of the draws.
        together: draws evaluated in one pass.
        engine: where chains are observed, one piece each; None is here, draw by draw.
    """

    task: Task
    draws: D
    count: int
    chains: int
    observable: Observable
    health: Health = Health()
    together: int = 1
    engine: Engine | None = None

    @property
    def evaluations(self) -> float:
        """One forward pass a draw."""
        return float(self.count * self.chains)

    def on(self, engine: Engine | None) -> "DrawSource[D]":
        """The same draws, observed elsewhere."""
        return replace(self, engine=engine)

    def __getstate__(self) -> dict[str, Any]:
        """An engine does not travel: what is sent to a worker does its own work there."""
        return self.__dict__ | {"engine": None}

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, draws]`."""
        values = self.observe(examples, answers, progress)
        levels = values.mean(dim=1)
        chained = values.unflatten(1, (self.chains, self.count))
        centered = chained - chained.mean(dim=2, keepdim=True) + levels[:, None, None]
        return Traces(centered.flatten(1), _all_draws(values), centered=True, levels=levels)

    def observe(self, examples: Examples, answers: Tensor, progress: Progress) -> Tensor:
        """The observable `[examples, draws]`, nats, as it is."""
        return self.survey(examples, answers, progress)[0]

    def survey(
        self, examples: Examples, answers: Tensor, progress: Progress, *, measure: bool = False
    ) -> tuple[Tensor, float]:
        """The observable `[examples, draws]`, and how far draws went.

        Args:
            examples: any.
            answers: the model's own to them.
            progress: told the stage "tracing".
            measure: whether the largest relative distance from the trained point is wanted; it is
                zero otherwise.
        """
        shared = (self._walk(examples, answers), measure)
        total, parts = self.count * self.chains, list[tuple[Tensor, float]]()
        if self.engine is None:
            for chain in range(self.chains):
                told = partial(_tell, progress, chain * self.count, total)
                parts.append(_chain(shared, chain, told))
        else:
            for part in self.engine.map(_chain, shared, range(self.chains)):
                parts.append(part)
                progress("tracing", len(parts) * self.count, total)
        values = torch.cat([values for values, _ in parts], dim=1)
        return values, max(distance for _, distance in parts)

    def _walk(self, examples: Examples, answers: Tensor) -> Walk:
        return Walk(
            self.task, self.draws, self.count, self.observable, self.together, examples, answers
        )


def _all_draws(values: Tensor) -> dict[str, slice]:
    return {"draws": slice(0, values.shape[1])}


def _tell(progress: Progress, before: int, total: int, draw: int) -> None:
    progress("tracing", before + draw, total)


def _chain(
    shared: tuple[Walk, bool], chain: int, progress: Callable[[int], None] = lambda draw: None
) -> tuple[Tensor, float]:
    """One chain's observations; a piece of work that any engine can take."""
    some, measure = shared
    return walk(some, some.draws(chain), some.count, progress, measure=measure)

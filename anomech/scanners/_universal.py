"""What scanners share that ask which class one small change of all inputs leads to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.learning.changes import Change, Changed, Climb, Seen, climbed, odds_of_all
from anomech.roles.scanner import Scan
from anomech.roles.task import DifferentiableInputs, Logits, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, few_classes

STILL = 1e-4
"""Nats below which log-odds have not moved."""

BACKWARD = 3
"""Forward passes that a step costs for each input: one forward, and a backward as two."""


@options
class Sizes:
    """How large changes are: as small as leads inputs to a usual class now and then."""

    smallest: float = option(0.04, "size that is tried first", gt=0)
    doublings: int = option(4, "times that it is doubled at the most", unit="times", ge=0)
    enough: float = option(
        0.25, "share of inputs led to the median class from which on it is not doubled", gt=0, le=1
    )
    most: float = option(
        0.5, "share of inputs led to the median class above which the size before counts", gt=0
    )


@dataclass(frozen=True)
class Reached:
    """What changes of one size lead to.

    Attributes:
        size: theirs.
        found: the change towards each class.
        odds: of each class, its log-odds on held-out inputs of other answers.
    """

    size: float
    found: Mapping[int, Changed]
    odds: Sequence[Tensor]

    @property
    def margins(self) -> Tensor:
        """Mean log-odds of each class `[classes]`."""
        return torch.stack([each.mean() for each in self.odds])

    @property
    def led(self) -> Tensor:
        """Share of inputs that are led to each class `[classes]`."""
        return torch.stack([(each > 0).double().mean() for each in self.odds])


def seen(task: Task, some: Drawn) -> tuple[Seen, Seen]:
    """Inputs to search on, and others to measure on."""
    embed = able(task, DifferentiableInputs).embed

    def of(batches: Sequence[Any], answers: Sequence[Tensor]) -> Seen:
        return Seen(batches, [embed(each).detach() for each in batches], answers)

    held_out = [batch for batch, _ in some.held_out]
    return of(some.batches, some.answers), of(held_out, [own for _, own in some.held_out])


def scanned(
    task: Task,
    some: Drawn,
    change: Change,
    sizes: Sizes,
    climb: Climb,
    *,
    noise: float,
    draws: int,
    seed: int,
    progress: Progress,
) -> Scan:
    """How far one change raises the log-odds of each class, above what chance changes do.

    Args:
        task: with differentiable inputs.
        some: inputs of it.
        change: its kind.
        sizes: that are tried.
        climb: how changes are searched.
        noise: size of chance changes, in sizes of what is searched.
        draws: chance changes.
        seed: of where searches begin, and of chance.
        progress: told the stage "searching triggers".
    """
    space, classes = able(task, DifferentiableInputs), able(task, Logits).classes
    search, held_out = seen(task, some)
    generator, first = torch_generator(seed, "universal"), search.points[0]
    start = Changed(change, change.start(first, generator) / 10, 0.0)
    every = _ladder(space, search, held_out, [start] * classes, sizes, climb, progress)
    over = len(every) > 1 and float(every[-1].led.median()) > sizes.most
    reached = every[-2] if over else every[-1]
    chance = _by_chance(space, held_out, change, noise * reached.size, draws, generator)
    moved = float((reached.margins - chance).abs().max())
    searched = BACKWARD * climb.steps * search.count + held_out.count
    return Scan(
        groups=torch.arange(classes),
        statistic=reached.margins - chance,
        candidates=reached.found,
        health=Health((*unmoved(moved), *few_classes(classes))),
        evaluations=float(classes * len(every) * searched + draws * held_out.count),
        facts={
            "size": reached.size,
            "highest log-odds": float(reached.margins.max()),
            "share led to the median class": float(reached.led.median()),
            "largest share led": float(reached.led.max()),
        },
    )


def _ladder(
    space: DifferentiableInputs,
    search: Seen,
    held_out: Seen,
    starts: Sequence[Changed],
    sizes: Sizes,
    climb: Climb,
    progress: Progress,
) -> list[Reached]:
    """What changes of every size lead to, each searched from where the smaller one ended."""
    classes, rungs, every = len(starts), sizes.doublings + 1, list[Reached]()
    found = dict(enumerate(starts))
    for rung in range(rungs):
        size, odds = sizes.smallest * 2**rung, []
        for target, last in found.items():
            found[target] = climbed(space, search, target, replace(last, size=size), climb)
            odds.append(_others(odds_of_all(space, held_out, found[target]), held_out)[target])
            progress("searching triggers", rung * classes + target + 1, rungs * classes)
        every.append(Reached(size, dict(found), odds))
        if every[-1].led.median() >= sizes.enough:
            break
    progress("searching triggers", rungs * classes, rungs * classes)
    return every


def _by_chance(
    space: DifferentiableInputs,
    held_out: Seen,
    change: Change,
    size: float,
    draws: int,
    generator: torch.Generator,
) -> Tensor:
    """Mean log-odds of each class `[classes]` with random changes of a size."""
    like = held_out.points[0]
    drawn = [Changed(change, change.start(like, generator), size) for _ in range(draws)]
    rows = [_others(odds_of_all(space, held_out, each), held_out) for each in drawn]
    return torch.stack([torch.cat(each).mean() for each in zip(*rows, strict=True)])


def unmoved(most: float) -> tuple[str, ...]:
    """The problem of answers that no change of inputs moves, if it is one.

    Args:
        most: how far the log-odds of any class moved, nats.
    """
    if most >= STILL:
        return ()
    return ("no change of the inputs moves any answer; check that the model reads its inputs.",)


def _others(odds: Tensor, seen: Seen) -> list[Tensor]:
    """Of each class, its log-odds on the inputs that have other answers."""
    own = torch.cat([each.cpu() for each in seen.answers])
    return [
        odds[own != target, target] if (own != target).any() else odds[:, target]
        for target in range(odds.shape[1])
    ]

"""Trigger inversion: the smallest mask and pattern that lead many inputs to one answer.

A trigger replaces a share `m` of each number of the input by a pattern: `(1 - m) x + m p`. Both are
searched by gradient descent through the task's differentiable inputs, on
`mean CE(f((1 - m) x + m p), target) + w |m|_1`, with `m` and `p` in [0, 1] by a tanh. The weight
`w` of the norm is raised while the trigger works and lowered while it does not (Wang et al. 2019).

What else a scanner wants of a trigger is a *pressure* (`anomech.learning.pressures`), a function of
each attempt that is added to this loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.learning.pressures import Attempt, Pressure, suppression
from anomech.roles.task import DifferentiableInputs, Pathways, Task, able

BETAS = (0.5, 0.9)
"""Of Adam, as published."""

STAGNANT = 0.99
"""Share of the best norm that a smaller one must fall below to count as progress."""

BACKWARD = 3
"""Forward passes that a step costs for each input: one forward, and a backward as two."""

LOWERING = 1.5
"""The weight falls by this power of the factor by which it rises."""


@options
class Inversion:
    """How a trigger is searched. A round is one step on every batch of inputs."""

    rounds: int = option(80, "rounds at the most", unit="rounds", ge=1)
    rate: float = option(0.1, "learning rate of Adam", gt=0)
    success: float = option(0.98, "share of inputs that a trigger has to lead", gt=0, le=1)
    weight: float = option(1e-3, "of the norm, at first", gt=0)
    factor: float = option(2.0, "by which the weight is raised", gt=1)
    patience: int = option(5, "rounds in a row that change the weight", unit="rounds", ge=1)
    stop_after: int = option(
        25, "rounds without a smaller trigger that end the search", unit="rounds", ge=1
    )
    suppress: float = option(
        0.0, "weight of keeping triggers off the class's own features; 0 leaves it out", ge=0
    )


@dataclass(frozen=True, eq=False)
class Inverted:
    """A trigger that was found: a `anomech.roles.scanner.Candidate`.

    Attributes:
        mask: in [0, 1], 1 where the axis is shared: of images `[1, h, w]`.
        pattern: in [0, 1], of the shape of one input's points.
        success: share of the inputs that it leads to the answer.
        worked: whether a round ever led as many as asked; if none did, it is the last one tried.
        evaluations: forward passes of one example each, a backward pass as two.
    """

    mask: Tensor
    pattern: Tensor
    success: float
    worked: bool
    evaluations: float

    @property
    def norm(self) -> float:
        """Sum of the mask."""
        return float(self.mask.sum())

    def apply(self, points: Tensor) -> Tensor:
        """Points `[batch, ...]` with the trigger."""
        mask, pattern = self.mask.to(points), self.pattern.to(points)
        return (1 - mask) * points + mask * pattern


@dataclass(frozen=True)
class _Schedule:
    """The weight of the norm, and how long the trigger has worked or failed in a row."""

    weight: float
    above: int = 0
    below: int = 0
    raised: bool = False
    lowered: bool = False

    @property
    def settled(self) -> bool:
        """Whether the weight has been moved both ways."""
        return self.raised and self.lowered

    def after(self, works: bool, recipe: Inversion) -> "_Schedule":
        """The schedule after one more round."""
        above, below = (self.above + 1, 0) if works else (0, self.below + 1)
        if above >= recipe.patience:
            return _Schedule(self.weight * recipe.factor, 0, 0, True, self.lowered)
        if below >= recipe.patience:
            weight = self.weight / recipe.factor**LOWERING
            return _Schedule(weight, 0, 0, self.raised, True)
        return _Schedule(self.weight, above, below, self.raised, self.lowered)


def check_unit_box(task: Task, points: Tensor) -> None:
    """Refuse inputs to which a pattern in [0, 1] means nothing.

    Args:
        task: with differentiable inputs.
        points: some of them `[batch, ...]`.

    Raises:
        CapabilityError: points of the task are not bounded by 0 and 1.
    """
    space = able(task, DifferentiableInputs)
    low, high = (space.project(torch.full_like(points, far)) for far in (-1.0, 2.0))
    if float(low.min()) < 0 or float(high.max()) > 1:
        raise CapabilityError(
            f"triggers are inverted in [0, 1], which inputs of this {task.kind} are not bound to; "
            "use a method that is made for them."
        )


def mask_axis(points: Tensor) -> int:
    """The axis of one input's points over which a mask is one.

    It is the channels of images `[batch, c, h, w]`, and the numbers that embed a token.
    """
    return 0 if points.ndim == 4 else points.ndim - 2


def invert(
    task: Task,
    batches: Sequence[Any],
    target: Tensor,
    recipe: Inversion,
    *,
    shared: int,
    progress: Progress,
    pressures: Sequence[Pressure] = (),
) -> Inverted:
    """The smallest trigger found that leads the inputs to an answer; nothing about it is random.

    An input is led if the answer takes more than half of the probability.

    Args:
        task: with differentiable inputs in [0, 1]; with pathways, if a pressure watches modules.
        batches: inputs of every kind, as `Examples.load` gives them; each is one pass.
        target: the answer, one entry of `Response.answers`, such as a class number.
        recipe: how it is searched.
        shared: axis of one input's points over which the mask is one, see `mask_axis`.
        progress: told the stage "inverting" after every round.
        pressures: what else is wanted of the trigger.
    """
    space = able(task, DifferentiableInputs)
    points = [space.embed(batch).detach() for batch in batches]
    if recipe.suppress > 0:
        own = suppression(task, batches, target, recipe.suppress)
        pressures = pressures if own is None else (*pressures, own)
    free = _ones(points[0], shared)
    optimizer = torch.optim.Adam(free, lr=recipe.rate, betas=BETAS)
    count, schedule = sum(map(len, points)), _Schedule(recipe.weight)
    found, idle, rounds = None, 0, 0
    while rounds < recipe.rounds and not (idle >= recipe.stop_after and schedule.settled):
        led = 0
        for batch, some in zip(batches, points, strict=True):
            tried = _attempt(task, batch, some, free, target, pressures)
            led += _descend(tried, free, schedule.weight, pressures, optimizer)
        mask, pattern = _unit(free)
        works, rounds = led >= recipe.success * count, rounds + 1
        smaller = works and (found is None or float(mask.sum()) < STAGNANT * float(found[0].sum()))
        idle = 0 if smaller else idle + 1
        if works and (found is None or mask.sum() < found[0].sum()):
            found = (mask, pattern)
        schedule = schedule.after(works, recipe)
        progress("inverting", rounds, recipe.rounds)
    progress("inverting", recipe.rounds, recipe.rounds)
    passes = float((BACKWARD * rounds + 1) * count)
    made = Inverted(*(found or _unit(free)), 0.0, found is not None, passes)
    return replace(made, success=led_share(space, batches, made.apply, target))


def _ones(points: Tensor, shared: int) -> list[Tensor]:
    """What mask and pattern are the tanh of, at first, as published: ones."""
    shape = points.shape[1:]
    sizes = [1 if axis == shared else size for axis, size in enumerate(shape)]
    return [points.new_ones(size).requires_grad_() for size in (sizes, list(shape))]


def _unit(free: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mask and pattern in [0, 1], detached."""
    mask, pattern = (torch.tanh(each.detach()) / 2 + 0.5 for each in free)
    return mask, pattern


@torch.enable_grad()
def _attempt(
    task: Task,
    batch: Any,
    points: Tensor,
    free: Sequence[Tensor],
    target: Tensor,
    pressures: Sequence[Pressure],
) -> Attempt:
    """What the network does with stamped inputs; the target is the same for all of them."""
    answers = target.to(points.device).expand(len(points), *target.shape)
    mask, pattern = (torch.tanh(each) / 2 + 0.5 for each in free)
    stamped, seen = (1 - mask) * points + mask * pattern, dict[str, Tensor]()

    def look(name: str) -> Callable[[Tensor], Tensor]:
        def kept(value: Tensor) -> Tensor:
            seen[name] = value
            return value

        return kept

    watched = {name: look(name) for each in pressures for name in each.watched}
    if watched:
        through = able(task, Pathways)
        response = through.respond_through({}, stamped, batch, watched, answers)
    else:
        response = able(task, DifferentiableInputs).respond_at({}, stamped, batch, answers)
    return Attempt(mask, pattern, points, stamped, batch, answers, response, seen)


def _descend(
    tried: Attempt,
    free: Sequence[Tensor],
    weight: float,
    pressures: Sequence[Pressure],
    optimizer: torch.optim.Optimizer,
) -> int:
    """One step down from an attempt; how many of its inputs were led to the target before it."""
    with torch.enable_grad():
        loss = tried.response.losses.mean() + weight * tried.mask.sum()
        for pressure in pressures:
            loss = loss + pressure.added(tried)
        slopes = torch.autograd.grad(loss, list(free))
    for each, slope in zip(free, slopes, strict=True):
        each.grad = slope
    optimizer.step()
    return int((tried.response.log_odds.detach() > 0).sum())


@torch.no_grad()
def led_share(
    space: DifferentiableInputs,
    batches: Sequence[Any],
    apply: Callable[[Tensor], Tensor],
    target: Tensor,
) -> float:
    """The share of the inputs of batches that a change of their points leads to the target."""
    led = total = 0
    for batch in batches:
        points = space.embed(batch)
        answers = target.to(points.device).expand(len(points), *target.shape)
        response = space.respond_at({}, apply(points), batch, answers)
        led, total = led + int((response.log_odds > 0).sum()), total + len(points)
    return led / total

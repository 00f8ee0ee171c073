"""Changes that are the same for all inputs, and the one of a size that leads most to an answer.

A change is a few free numbers of about 1 and a size: what it does to points is its own business.
Where every number of a change has a bound of its own, see `anomech.learning.universal`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.roles.task import DifferentiableInputs


class Change(Protocol):
    """A kind of change."""

    def start(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """Free numbers drawn at random, as large as `bound` allows or nearly so.

        Args:
            points: some inputs `[batch, ...]`.
            generator: of the draw.
        """
        ...

    def apply(self, points: Tensor, free: Tensor, size: float) -> Tensor:
        """Changed points `[batch, ...]`; differentiable in the free numbers."""
        ...

    def bound(self, free: Tensor) -> Tensor:
        """The nearest free numbers whose change is no larger than its size."""
        ...


@dataclass(frozen=True)
class Added:
    """The same numbers added to every input.

    A size is a Euclidean length, as a share of the usual distance of inputs from their mean.

    Attributes:
        scale: that distance, as a root of a mean square.
    """

    scale: float

    def start(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """See `Change`."""
        return torch.randn(points[:1].shape, generator=generator).to(points)

    def apply(self, points: Tensor, free: Tensor, size: float) -> Tensor:
        """See `Change`."""
        return points + free * (size * self.scale / free.numel() ** 0.5)

    def bound(self, free: Tensor) -> Tensor:
        """See `Change`."""
        return free / free.square().mean().sqrt().clamp_min(1.0)


@dataclass(frozen=True)
class Warped:
    """Pictures `[batch, channels, height, width]` that are bent by one smooth field.

    A size is the farthest that a node of the field moves, in halves of a picture's side.

    Attributes:
        nodes: of the field, along each side.
    """

    nodes: int = 4

    def start(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """See `Change`."""
        drawn = torch.rand(1, 2, self.nodes, self.nodes, generator=generator)
        return (2 * drawn - 1).to(points)

    def apply(self, points: Tensor, free: Tensor, size: float) -> Tensor:
        """See `Change`."""
        shape = list(points.shape[-2:])
        field = functional.interpolate(free * size, shape, mode="bicubic", align_corners=True)
        straight = functional.affine_grid(
            torch.eye(2, 3).to(points)[None], [1, 1, *shape], align_corners=False
        )
        grid = (straight + field.movedim(1, -1)).expand(len(points), -1, -1, -1)
        return functional.grid_sample(points, grid, padding_mode="border", align_corners=False)

    def bound(self, free: Tensor) -> Tensor:
        """See `Change`."""
        return free.clamp(-1, 1)


@dataclass(frozen=True, eq=False)
class Changed:
    """A change that was found: a `anomech.roles.scanner.Candidate`.

    Attributes:
        change: its kind.
        free: its numbers.
        size: how large it is.
    """

    change: Change
    free: Tensor
    size: float

    def apply(self, points: Tensor) -> Tensor:
        """Points `[batch, ...]` with the change."""
        return self.change.apply(points, self.free.to(points), self.size)


@options
class Climb:
    """How a change is searched, by Adam."""

    steps: int = option(15, "steps on every size", unit="steps", ge=1)
    rate: float = option(0.5, "learning rate, of free numbers of about 1", gt=0)


@dataclass(frozen=True)
class Seen:
    """Inputs to change, in passes.

    Attributes:
        batches: as `Examples.load` gives them.
        points: of each batch `[batch, ...]`.
        answers: the model's own to each.
    """

    batches: Sequence[Any]
    points: Sequence[Tensor]
    answers: Sequence[Tensor]

    @property
    def count(self) -> int:
        """Inputs in all."""
        return sum(map(len, self.answers))


def climbed(
    space: DifferentiableInputs, seen: Seen, target: int, found: Changed, recipe: Climb
) -> Changed:
    """The change from which the mean log-odds of an answer are highest, over inputs of others.

    Args:
        space: of the task.
        seen: the inputs.
        target: the answer, a class number.
        found: where the search begins, and how large the change is.
        recipe: how it is searched.
    """
    free = found.free.clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=recipe.rate)
    for _ in range(recipe.steps):
        for batch, points, own in zip(seen.batches, seen.points, seen.answers, strict=True):
            others = (own != target).to(points)
            with torch.enable_grad():
                moved = space.project(found.change.apply(points, free, found.size))
                answers = torch.full_like(own, target)
                odds = space.respond_at({}, moved, batch, answers).log_odds
                high = (odds * others).sum() / others.sum().clamp_min(1.0)
                (slope,) = torch.autograd.grad(-high, [free])
            free.grad = slope
            optimizer.step()
            with torch.no_grad():
                free.copy_(found.change.bound(free))
    return Changed(found.change, free.detach(), found.size)


@torch.no_grad()
def odds_of_all(space: DifferentiableInputs, seen: Seen, candidate: Changed) -> Tensor:
    """Log-odds of every class with a change, `[inputs, classes]`, float64, on the processor."""
    rows = []
    for batch, points in zip(seen.batches, seen.points, strict=True):
        moved = space.project(candidate.apply(points))
        logits = space.respond_at({}, moved, batch).logits
        assert logits is not None
        rows.append(log_odds(logits.double()).cpu())
    return torch.cat(rows)


def log_odds(logits: Tensor) -> Tensor:
    """`log p - log (1 - p)` of every class `[inputs, classes]`, right where p is all but 1.

    Memory is that of the logits: only of the likeliest class are the others summed anew, since
    `1 - p` rounds to 0 for no other one.
    """
    likeliest = logits.argmax(dim=1, keepdim=True)
    logs = logits.log_softmax(dim=1)
    others = logits.scatter(1, likeliest, -torch.inf).logsumexp(dim=1, keepdim=True)
    own = logits.gather(1, likeliest) - others
    return (logs - torch.log1p(-logs.exp())).scatter(1, likeliest, own)

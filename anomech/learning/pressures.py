"""What may be wanted of a trigger besides that it works and is small: terms added to each attempt.

One of them is here, since every scanner that inverts can use it: class suppression. A class without
a backdoor is reached by growing its own features, a planted trigger reaches its target by others.
So the step from usual features to those of stamped inputs is pressed out of the subspace of the
class's own features, which makes triggers for honest classes large and leaves planted ones small
(Yang, Miller, Kesidis 2025, arXiv 2512.08129; written from its abstract, so the form of the penalty
is this project's own).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anomech.kernel.types import Response
from anomech.learning.halves import Halves, halves, pooled
from anomech.roles.task import DifferentiableInputs, Task, able

RANK = 3
"""Directions that stand for a class's own features."""

FEWEST = 2
"""Inputs answered as a class that tell its features."""


class Attempt(NamedTuple):
    """One step of a search on one batch, differentiable in mask and pattern.

    Attributes:
        mask: in [0, 1].
        pattern: in [0, 1].
        points: the inputs as they are `[batch, ...]`.
        stamped: the inputs with the trigger.
        batch: what the points are of.
        answers: the target, `[batch, ...]`.
        response: to the stamped inputs.
        activations: of the watched modules at the stamped inputs, by name.
    """

    mask: Tensor
    pattern: Tensor
    points: Tensor
    stamped: Tensor
    batch: Any
    answers: Tensor
    response: Response
    activations: Mapping[str, Tensor]


class Pressure(NamedTuple):
    """What is added to the loss of each attempt, and the modules whose activations it looks at."""

    added: Callable[[Attempt], Tensor]
    watched: tuple[str, ...] = ()


@torch.no_grad()
def suppression(
    task: Task, batches: Sequence[Any], target: Tensor, weight: float
) -> Pressure | None:
    """The pressure that keeps a trigger off the target's own features.

    `weight * mean ||B'(f - c)||^2 / ||f - c||^2` with the features `f` of stamped inputs, their
    usual mean `c` and an orthonormal basis `B` of how inputs of the target differ from it.

    Args:
        task: see `anomech.learning.halves.NEEDS`.
        batches: inputs of every kind.
        target: the answer that triggers are searched for.
        weight: of the share in the subspace, against a mean loss in nats.

    Returns:
        None where fewer than two inputs are answered by the target.
    """
    cut = halves(task, batches[0])
    features, own = _features(cut, batches, target)
    center = features.mean(dim=0)
    if int(own.sum()) < FEWEST:
        return None
    basis = torch.linalg.svd(features[own] - center, full_matrices=False).Vh[:RANK]

    def added(tried: Attempt) -> Tensor:
        steps = pooled(tried.activations[cut.place]).float() - center
        inside = (steps @ basis.T).square().sum(dim=1)
        return weight * (inside / steps.square().sum(dim=1).clamp_min(1e-12)).mean()

    return Pressure(added, (cut.place,))


def _features(cut: Halves, batches: Sequence[Any], target: Tensor) -> tuple[Tensor, Tensor]:
    """Features of inputs `[inputs, channels]`, and which of them are answered by the target."""
    space, rows, own = able(cut.task, DifferentiableInputs), [], []
    for batch in batches:
        response, maps = cut.seen(space.embed(batch), batch, None)
        rows.append(pooled(maps).float())
        same = response.answers == target.to(response.answers)
        own.append(same.reshape(len(same), -1).all(dim=1))
    return torch.cat(rows), torch.cat(own)

"""One small change for all inputs that leads them to an answer, within a bound on each number."""

from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.roles.task import DifferentiableInputs, Task, able


@options
class Universal:
    """How a common change is searched, by steps along the sign of the gradient."""

    eps: float = option(0.2, "largest change of an input's numbers, in [0, 1]", gt=0, le=1)
    steps: int = option(40, "steps", unit="steps", ge=1)
    step: float = option(0.02, "length of a step", gt=0)


def universal(
    task: Task, batch: Any, points: Tensor, target: int, recipe: Universal, *, start: Tensor
) -> Tensor:
    """A change `[1, ...]` that raises the mean log-odds of an answer on all inputs together.

    Args:
        task: with differentiable inputs.
        batch: the inputs.
        points: theirs `[batch, ...]`.
        target: a class number.
        recipe: how it is searched.
        start: where the search begins, `[1, ...]`; it is cut off at the bound.
    """
    space = able(task, DifferentiableInputs)
    answers = torch.full((len(points),), target, device=points.device)
    change = start.clamp(-recipe.eps, recipe.eps)
    best, most = change, -torch.inf
    for number in range(recipe.steps + 1):
        leaf = change.detach().requires_grad_()
        with torch.enable_grad():
            odds = space.respond_at({}, space.project(points + leaf), batch, answers).log_odds
            # Each input counts up to where it is led for sure, so that none pays for the others.
            high = odds.clamp_max(5.0).mean()
            (slope,) = torch.autograd.grad(high, leaf)
        if float(high.detach()) > most:
            best, most = change, float(high.detach())
        if number < recipe.steps:
            moved = change + recipe.step * slope.sign()
            change = moved.clamp(-recipe.eps, recipe.eps).detach()
    return best.detach()

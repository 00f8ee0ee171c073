"""Where in a network a mechanism sits: numbers of units, each by one belief, and how concentrated.

All of them are higher where a unit carries the mechanism more. They are small and independent,
so that a repair, an explanation and a report rest on the same ones.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from anomech.kernel.types import Examples, Overlay, Progress, silent
from anomech.learning.masks import rows
from anomech.roles.task import Task, Units

TOP = 0.01
"""Share of the units whose part of the effect is the concentration."""


def lipschitz(state: Overlay, unit: Units) -> Tensor:
    """Bounds of how much each unit amplifies a change of its inputs `[units]`.

    The largest singular value of each channel's kernel as a matrix of inputs by positions, times
    the gain that follows (Zheng et al. 2022).
    """
    weight = state[unit.weight].detach().double()
    kernels = weight.flatten(2) if weight.ndim > 2 else weight.unsqueeze(2)
    bound: Tensor = torch.linalg.matrix_norm(kernels, ord=2)
    if unit.gain == unit.weight:
        return bound
    gain = state[unit.gain].detach().double().abs()
    if unit.variance:
        gain = gain / (state[unit.variance].double() + unit.epsilon).sqrt()
    return bound * gain


def gains(
    state: Overlay, units: Sequence[Units], factors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Gains and shifts multiplied by factors of their units, differentiable in these."""
    return {
        name: rows(state[name].detach(), factors[each.place])
        for each in units
        if each.place in factors
        for name in filter(None, (each.gain, each.shift))
    }


def ablation_effects(
    task: Task,
    examples: Examples,
    answers: Tensor,
    units: Sequence[Units],
    *,
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """What silencing each unit would take from the log-odds of answers, to first order.

    Mean over the examples of `d log-odds / d factor`, with one factor a unit at 1: by how much the
    log-odds fall if the unit is silenced and they are linear in it. Nats, float64 `[units]` by
    place. One backward pass serves all units.

    Args:
        task: the model.
        examples: at least one.
        answers: whose log-odds are asked for `[examples, ...]`.
        units: of the model.
        progress: told the stage "ablating units".
    """
    state, total = task.state(), {each.place: torch.zeros(each.count) for each in units}
    done = 0
    for places in task.passes(examples):
        factors = {each.place: torch.ones(each.count, requires_grad=True) for each in units}
        given = answers[torch.from_numpy(places)]
        with torch.enable_grad():
            overlay = gains(state, units, factors)
            odds = task.respond(overlay, examples.load(places), given).log_odds
            slopes = torch.autograd.grad(odds.sum(), list(factors.values()), allow_unused=True)
        for place, slope in zip(factors, slopes, strict=True):
            if slope is not None:
                total[place] = total[place] + slope.detach().cpu()
        done += len(places)
        progress("ablating units", done, len(examples))
    return {place: each.double() / len(examples) for place, each in total.items()}


def concentration(effects: Mapping[str, Tensor], share: float = TOP) -> float:
    """Part of all positive effect that the most effective share of the units has, in [0, 1].

    At least one unit is counted. It is 1 where one unit does all, and near `share` where all do
    alike; 0 where none has an effect.
    """
    every = torch.cat([each.flatten() for each in effects.values()]).clamp_min(0)
    whole = float(every.sum())
    if whole <= 0:
        return 0.0
    top = max(1, round(share * len(every)))
    return float(every.topk(top).values.sum()) / whole

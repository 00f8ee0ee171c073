"""Reading what passes between the layers: one forward pass, any number of places."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Progress, Response
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.sequences import Sequences
from anomech.roles.task import Activations, Task, able


@torch.no_grad()
def activations(
    task: Task, batch: Any, names: Sequence[str], answers: Tensor | None
) -> dict[str, Tensor]:
    """What one forward pass leaves at each place, as it is there, by name.

    Args:
        task: one that gives `Activations`.
        batch: what `Examples.load` gave.
        names: of places.
        answers: those to judge. Where the model makes its own, the last of its passes is read.
    """
    found = read(task, batch, names, answers, lambda activation: activation)[1]
    return {name: found[name] for name in names}


@torch.no_grad()
def read(
    task: Task,
    batch: Any,
    names: Sequence[str],
    answers: Tensor | None,
    keep: Callable[[Tensor], Tensor],
) -> tuple[Response, dict[str, Tensor]]:
    """The response of one forward pass, and what is kept of each place, in the order of the pass.

    A place that the pass does not come by, or that gives no tensor, is left out.

    Args:
        task: one that gives `Activations`.
        batch: what `Examples.load` gave.
        names: of places.
        answers: those to judge; None are the model's own.
        keep: from an activation to what is kept of it, while the pass goes on.
    """
    found: dict[str, Tensor] = {}

    def reader(name: str) -> Callable[[Tensor], Tensor]:
        def looked_at(activation: Tensor) -> Tensor:
            if isinstance(activation, Tensor):  # some modules give several things at once
                found[name] = keep(activation.detach())
            return activation

        return looked_at

    changes = {name: reader(name) for name in names}
    response = able(task, Activations).respond_with({}, batch, changes, answers)
    return response, found


def decisions(task: Task, batch: Any, answers: Tensor | None) -> Tensor | None:
    """The position that decides each answer, int64 `[batch]`; None of a task without sequences.

    It is counted from the end, -1 being the last: what the last layer reads may hold the last
    positions alone.
    """
    if Sequences not in task.provides or answers is None:
        return None
    layout = able(task, Sequences).layout(batch, answers)
    return layout.decision - layout.tokens.shape[1]


def pooled(activation: Tensor, decision: Tensor | None = None) -> Tensor:
    """One row an example, `[batch, units]`: of the deciding position, or means over positions.

    Units are the second axis of maps `[batch, units, height, width]`, and the last of tokens
    `[batch, tokens, units]`.
    """
    if decision is not None and activation.ndim == 3:  # where others are padding, a mean is none
        return activation[torch.arange(len(activation)), decision.to(activation.device)]
    if activation.ndim == 4:
        return activation.mean(dim=(2, 3))
    return activation.flatten(1, -2).mean(dim=1) if activation.ndim > 2 else activation


def pooled_activations(
    observed: ObservedExamples, progress: Progress, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Activation of every unit as `pooled` gives it, float64 `[examples, units]`, by place.

    Args:
        observed: at least one example, with the answers to judge.
        progress: told the stage "reading activations".
        names: of places; None are all that the task names.
    """
    task = observed.task
    wanted = list(able(task, Activations).points() if names is None else names)
    rows: dict[str, list[tuple[np.ndarray, Tensor]]] = {name: [] for name in wanted}
    stage = "reading activations"
    for places, own in passes(task, observed.examples, observed.answers, stage, progress):
        batch = observed.examples.load(places)
        found, at = activations(task, batch, wanted, own), decisions(task, batch, own)
        for name, activation in found.items():
            rows[name].append((places, pooled(activation, at).double().cpu()))
    return {name: in_place(parts, len(observed)) for name, parts in rows.items()}

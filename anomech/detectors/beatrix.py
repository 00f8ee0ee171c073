"""Beatrix: correlations of units outside what the answer's trusted examples show (baseline).

Belief: a trigger changes how units go together, even where each of them looks usual.
Equation: for a place with activations `F` `[units, positions]` and orders p up to `orders`,
`G_p = s |F^p F^p'|^(1/p)` with `s` its sign, upper triangle. Bounds are `median +- 10 MAD` of the
trusted examples with the same answer; the score is the mean over entries and orders of
`relu(low - G) / |low| + relu(G - high) / |high|`.
Source: Ma, Wang, Sun, Wang, Sun 2023. Unlike a widespread implementation, units are raised to the
power before the product. Answers with fewer than `least` anchors are held to the bounds of all.
Needs: activations.
Cost: one forward pass.
Fails when: anchors are few, for medians and deviations of many entries are then noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import PAD, Progress
from anomech.observing.activations import activations
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Task, able
from anomech.roles.tracer import Health

ALL = -1
"""The group of the bounds of all anchors; groups of answers are not negative."""

TINY = 1e-6


@options
class Beatrix:
    """Gram matrices of one layer outside trusted bounds."""

    place: str = option("", "name of the place; empty is the last but one")
    orders: int = option(8, "powers of the units, from 1", ge=1)
    units: int = option(32, "units at the most, spread over those of the place", ge=1)
    wide: float = option(10.0, "bounds, in median absolute deviations", gt=0)
    least: int = option(10, "anchors of an answer that has bounds of its own", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations."""
        return frozenset({Activations})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedBeatrix":
        """Bounds of every answer and of all.

        Raises:
            ConfigError: there is no such place.
        """
        names = able(anchors.task, Activations).points()
        place = self.place or names[max(0, len(names) - 2)]
        if place not in names:
            raise ConfigError(f"beatrix.place: no place between the layers is named '{place}'.")
        found = read_grams(anchors, place, self.orders, self.units, progress)
        bounds = {ALL: _bounds(found, self.wide)}
        for group in anchors.groups.unique().tolist():
            mine = anchors.groups == group
            if int(mine.sum()) >= self.least:
                bounds[int(group)] = _bounds(found[mine], self.wide)
        return FittedBeatrix(place, self.orders, self.units, bounds)


@dataclass(frozen=True)
class FittedBeatrix:
    """Bounds `[2, entries]` by group of answers, and of what they are."""

    place: str
    orders: int
    units: int
    bounds: Mapping[int, Tensor]
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 1.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Mean relative excess over the bounds."""
        found = read_grams(observed, self.place, self.orders, self.units, progress)
        result = torch.zeros(len(found), dtype=torch.float64)
        for place, group in enumerate(observed.groups.tolist()):
            low, high = self.bounds.get(int(group), self.bounds[ALL])
            row = found[place].double()
            under = (low - row).clamp_min(0) / low.abs().clamp_min(TINY)
            over = (row - high).clamp_min(0) / high.abs().clamp_min(TINY)
            result[place] = (under + over).mean()
        return Scores(result, {})


def read_grams(
    observed: ObservedExamples, place: str, orders: int, units: int, progress: Progress
) -> Tensor:
    """Gram matrices of examples, float32 `[examples, orders * entries]`."""
    parts = [
        (places, _read(observed.task, observed.examples.load(places), given, place, orders, units))
        for places, given in passes(
            observed.task, observed.examples, observed.answers, "reading states", progress
        )
    ]
    return in_place(parts, len(observed)) if parts else torch.zeros(0, 1)


def _read(
    task: Task, batch: object, answers: Tensor | None, place: str, orders: int, units: int
) -> Tensor:
    seen = activations(task, batch, [place], answers)[place]
    if Sequences in task.provides and answers is not None:  # nothing is where a sequence is filled
        held = able(task, Sequences).layout(batch, answers).tokens != PAD
        seen = seen * held.reshape(*held.shape, *[1] * (seen.ndim - 2))
    if seen.ndim == 4:
        rows = seen.flatten(2)
    else:
        rows = seen.flatten(1, -2).transpose(1, 2) if seen.ndim > 2 else seen[:, :, None]
    kept = np.linspace(0, rows.shape[1] - 1, min(units, rows.shape[1])).round().astype(int)
    return grams(rows[:, torch.from_numpy(kept)], orders).cpu()


def grams(rows: Tensor, orders: int) -> Tensor:
    """`sign |F^p F^p'|^(1/p)` of rows `[batch, units, positions]`, upper triangles of all orders.

    Returns:
        float32 `[batch, orders * entries]`.
    """
    values = rows.double()
    upper = torch.triu_indices(values.shape[1], values.shape[1])
    found = []
    for order in range(1, orders + 1):
        raised = values**order
        product = (raised @ raised.transpose(1, 2))[:, upper[0], upper[1]]
        found.append(product.sign() * product.abs() ** (1 / order))
    return torch.cat(found, dim=1).float()


def _bounds(found: Tensor, wide: float) -> Tensor:
    middle = found.double().median(dim=0).values
    reach = wide * (found.double() - middle).abs().median(dim=0).values
    return torch.stack([middle - reach, middle + reach])

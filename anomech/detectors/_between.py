"""How far what passes between the layers is from what trusted examples leave there.

A planted mechanism may end in features that look like its target's, and still has to come from
somewhere: in the layers before, what it leaves is unlike what honest inputs with that answer leave.
Every place is looked at, since nobody knows in which layers a mechanism sits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.attribution.profile import rows_of
from anomech.attribution.usual import SHRINK
from anomech.detectors._nearness import Means, fit_means
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Activations
from anomech.roles.tracer import Traces, TraceSource
from anomech.tracing.states import States


class Distances(NamedTuple):
    """Log squared distances of states at every place, float64 `[n, places]` each.

    Attributes:
        own: to those of trusted examples with the same answer.
        every: to those of all trusted examples.
    """

    own: Tensor
    every: Tensor

    def take(self, places: Tensor) -> "Distances":
        """Of some of the examples."""
        return Distances(self.own[places], self.every[places])


@dataclass(frozen=True)
class Cloud:
    """Where anchors' states lie at one place: around the means of their answers, and of all."""

    own: Means
    every: Means


@dataclass(frozen=True)
class Between:
    """What the folds teach about states.

    Attributes:
        source: of the states.
        clouds: of each fold, by place.
    """

    source: TraceSource
    clouds: tuple[Mapping[str, Cloud], ...]

    def distances(
        self, judged_by: Tensor, observed: ObservedExamples, progress: Progress
    ) -> Distances:
        """Of examples, each to the anchors of the fold that judges it.

        Args:
            judged_by: number of that fold, int64 `[n]`.
            observed: the examples.
            progress: told about the passes.
        """
        states = _by_place(observed.traced(self.source, progress))
        own = torch.empty(len(observed), len(self.clouds[0]), dtype=torch.float64)
        every = torch.empty_like(own)
        for number, clouds in enumerate(self.clouds):
            mine = torch.nonzero(judged_by == number)[:, 0]
            groups = observed.groups[mine]
            for column, (name, cloud) in enumerate(clouds.items()):
                rows = states[name][mine]
                own[mine, column] = cloud.own.to_own(rows, groups)
                every[mine, column] = cloud.every.to_nearest(rows)
        return Distances(own, every)


def fit_between(
    trusted: ObservedExamples, anchors: Sequence[Tensor], *, seed: int, progress: Progress
) -> Between | None:
    """What some of the trusted examples teach; None where the task shows no states.

    Args:
        trusted: all of them.
        anchors: places of those that teach, int64, one tensor a fold.
        seed: of the projections of wide places.
        progress: told about the pass.
    """
    if Activations not in trusted.task.provides:
        return None
    try:
        source = trusted.source(States(), seed=seed, progress=progress)
    except CapabilityError:  # a network that is one function, say
        return None
    states, groups = _by_place(trusted.traced(source, progress)), trusted.groups
    states = {name: rows for name, rows in states.items() if _usable(rows)}
    if not states:
        return None
    clouds = tuple(
        {
            name: Cloud(
                fit_means(rows[places], groups[places], SHRINK),
                fit_means(rows[places], torch.zeros_like(groups[places]), 0.0),
            )
            for name, rows in states.items()
        }
        for places in anchors
    )
    return Between(source, clouds)


def _usable(rows: Tensor) -> bool:
    """Whether states `[n, units]` are finite, and not all the same."""
    return bool(rows.isfinite().all()) and bool((rows.var(dim=0, correction=0) > 0).any())


def _by_place(traces: Traces) -> dict[str, Tensor]:
    """States of every place, float64 `[n, units]`."""
    rows = rows_of(traces).double()
    return {name: rows[:, place] for name, place in traces.blocks.items()}

"""How far what passes between the layers is from what trusted examples leave there.

A planted mechanism may end in features that look like its target's, and still has to come from
somewhere: in the layers before, what it leaves is unlike what honest inputs with that answer leave.
Every place is looked at, since nobody knows in which layers a mechanism sits.

Where answers are generated, honest states lie in many clusters of different density, of which one
Gaussian knows nothing. There a third number says how empty the surroundings of a state are, beside
those of its nearest anchors. It is measured halfway between plain and Mahalanobis distance: the
first sees the widest directions alone, the second takes the narrowest, which are mostly noise, for
as good as any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.attribution.density import FLOOR
from anomech.attribution.profile import rows_of
from anomech.attribution.usual import SHRINK
from anomech.detectors._nearness import Means, fit_means
from anomech.detectors._surroundings import Surroundings, fit_surroundings
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Activations
from anomech.roles.tracer import Traces, TraceSource
from anomech.tracing.states import States

NEIGHBORS = 20


class Distances(NamedTuple):
    """Of states at every place, float64 `[n, places]` each.

    Attributes:
        own: log squared distances to those of trusted examples with the same answer.
        every: the same to those of all trusted examples.
        lone: log local outlier factors; None if they were not asked for.
    """

    own: Tensor
    every: Tensor
    lone: Tensor | None

    def take(self, places: Tensor) -> "Distances":
        """Of some of the examples."""
        lone = None if self.lone is None else self.lone[places]
        return Distances(self.own[places], self.every[places], lone)


@dataclass(frozen=True)
class Crowd:
    """Anchors' states among each other.

    Attributes:
        metric: the covariance to the power of minus a quarter `[d, d]`.
        around: surroundings in that metric.
    """

    metric: Tensor
    around: Surroundings

    def loneliness(self, rows: Tensor) -> Tensor:
        """Log of the local outlier factor of states `[n, d]`, `[n]`."""
        return self.around.factor(rows @ self.metric).clamp_min(FLOOR).log()


def fit_crowd(rows: Tensor) -> Crowd:
    """Fit to anchors' states `[anchors, d]`, float64, at least two."""
    covariance = torch.from_numpy(LedoitWolf().fit(rows.numpy()).covariance_)
    values, vectors = torch.linalg.eigh(covariance)
    metric = vectors / values.clamp_min(FLOOR).pow(0.25)
    return Crowd(metric, fit_surroundings(rows @ metric, min(NEIGHBORS, len(rows) - 1)))


@dataclass(frozen=True)
class Cloud:
    """Where anchors' states lie at one place.

    Attributes:
        own: around the means of their answers.
        every: around that of all.
        crowd: among each other; None if nobody asked for it.
    """

    own: Means
    every: Means
    crowd: Crowd | None


Clouds = tuple[Mapping[str, Cloud], ...]
"""Of each fold, by place."""


def distances_to(
    clouds: Clouds, judged_by: Tensor, states: Mapping[str, Tensor], groups: Tensor
) -> Distances:
    """Of examples, each to the anchors of the fold that judges it.

    Args:
        clouds: what the folds teach.
        judged_by: number of that fold, int64 `[n]`.
        states: by place, float64 `[n, units]`.
        groups: of the answers `[n]`.
    """
    own = torch.empty(len(groups), len(clouds[0]), dtype=torch.float64)
    every, lone = torch.empty_like(own), torch.empty_like(own)
    for number, fold in enumerate(clouds):
        mine = torch.nonzero(judged_by == number)[:, 0]
        for column, (name, cloud) in enumerate(fold.items()):
            rows = states[name][mine]
            own[mine, column] = cloud.own.to_own(rows, groups[mine])
            every[mine, column] = cloud.every.to_nearest(rows)
            if cloud.crowd is not None:
                lone[mine, column] = cloud.crowd.loneliness(rows)
    crowded = all(each.crowd is not None for each in clouds[0].values())
    return Distances(own, every, lone if crowded else None)


def clouds_of(
    states: Mapping[str, Tensor], groups: Tensor, anchors: Sequence[Tensor], *, crowded: bool
) -> Clouds | None:
    """Where trusted states lie; None if no place has any that differ.

    Args:
        states: by place, float64 `[n, units]`.
        groups: of the answers `[n]`.
        anchors: places of the examples that teach, int64, one tensor a fold.
        crowded: whether the density of their surroundings is learned too.
    """
    usable = {name: rows for name, rows in states.items() if _usable(rows)}
    if not usable:
        return None
    return tuple(
        {
            name: Cloud(
                fit_means(rows[places], groups[places], SHRINK),
                fit_means(rows[places], torch.zeros_like(groups[places]), 0.0),
                fit_crowd(rows[places]) if crowded else None,
            )
            for name, rows in usable.items()
        }
        for places in anchors
    )


@dataclass(frozen=True)
class Between:
    """What the folds teach about states.

    Attributes:
        source: of the states.
        clouds: of each fold, by place.
    """

    source: TraceSource
    clouds: Clouds

    def distances(
        self, judged_by: Tensor, observed: ObservedExamples, progress: Progress
    ) -> Distances:
        """Of examples, each to the anchors of the fold that judges it (`judged_by` `[n]`)."""
        states = _by_place(observed.traced(self.source, progress))
        return distances_to(self.clouds, judged_by, states, observed.groups)


def fit_between(
    trusted: ObservedExamples,
    anchors: Sequence[Tensor],
    *,
    crowded: bool = False,
    seed: int,
    progress: Progress,
) -> Between | None:
    """What some of the trusted examples teach; None where the task shows no states.

    Args:
        trusted: all of them.
        anchors: places of those that teach, int64, one tensor a fold.
        crowded: whether the density of their surroundings is learned too.
        seed: of the projections of wide places.
        progress: told about the pass.
    """
    if Activations not in trusted.task.provides:
        return None
    try:
        source = trusted.source(States(), seed=seed, progress=progress)
    except CapabilityError:  # a network that is one function, say
        return None
    states = _by_place(trusted.traced(source, progress))
    clouds = clouds_of(states, trusted.groups, anchors, crowded=crowded)
    return None if clouds is None else Between(source, clouds)


def _usable(rows: Tensor) -> bool:
    """Whether states `[n, units]` are finite, and not all the same."""
    return bool(rows.isfinite().all()) and bool((rows.var(dim=0, correction=0) > 0).any())


def _by_place(traces: Traces) -> dict[str, Tensor]:
    """States of every place, float64 `[n, units]`."""
    rows = rows_of(traces).double()
    return {name: rows[:, place] for name, place in traces.blocks.items()}

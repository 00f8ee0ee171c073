"""One fold of the trusted examples: what it teaches, and what it sees in others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.profile import (
    STATISTICS,
    WHOLE,
    Anchors,
    fit_anchors,
    profile,
    profile_of_anchors,
)
from anomech.attribution.usual import fit_centers
from anomech.detectors._nearness import Nearness, fit_nearness, neighbor_distance
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Features, Logits
from anomech.roles.tracer import Traces, TraceSource

SMALL_CLASS = 20


class Statistics(NamedTuple):
    """Of some examples; what the task does not give is None.

    Attributes:
        profile: of each part of the network, see `anomech.attribution.profile`,
            `[n, parts * statistics]`.
        context: log-odds and, where there are logits, the energy `logsumexp(logits)`,
            `[n, 1 or 2]`.
        features: distance to the nearest anchors' features and log length of the own, `[n, 2]`.
        nearest: log distance of features to the nearest class `[n, 1]`.
        strange: log distance of unit features to the own answer's, and minus the energy, `[n, 2]`.
        drops: log-odds lost at each twin `[n, twins]`; None if none were looked at.
        stray: log distance of states at each place to the own answer's `[n, places]`.
        apart: the same to those of all trusted examples `[n, places]`.
    """

    profile: Tensor
    context: Tensor
    features: Tensor | None
    nearest: Tensor | None
    strange: Tensor | None
    drops: Tensor | None = None
    stray: Tensor | None = None
    apart: Tensor | None = None

    def take(self, places: Tensor) -> "Statistics":
        """Of some of the examples."""
        return Statistics(*(None if each is None else each[places] for each in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Fold:
    """What one fold of the trusted examples taught.

    Attributes:
        span: responses of its anchors.
        places: of its anchors among the trusted examples, int64 `[anchors]`.
        nearness: of features to theirs; None if the task gives none.
        twins: copies of the model that were pushed along what the fold teaches, one a rung.
    """

    span: Anchors
    places: Tensor
    nearness: Nearness | None
    twins: tuple[TraceSource, ...] = ()

    def look(
        self, observed: ObservedExamples, source: TraceSource, progress: Progress
    ) -> tuple[Statistics, Tensor]:
        """Statistics of examples by their traces, and couplings to the anchors `[n, anchors]`."""
        traces = observed.traced(source, progress)
        statistics, coupling = profile(self.span, traces, observed.groups)
        columns = [observed.log_odds]
        if Logits in observed.task.provides:
            columns.append(observed.logits.logsumexp(dim=1))
        context = torch.stack(columns, dim=1)
        features = nearest = strange = None
        if self.nearness is not None:
            rows = unit(observed.features)
            length = observed.features.norm(dim=1).clamp_min(1e-12).log()
            near = neighbor_distance(self.nearness.rows, rows)
            features = torch.stack([near, length], dim=1)
            nearest = self.nearness.plain.to_nearest(observed.features)[:, None]
            away = self.nearness.own.to_own(rows, observed.groups)
            strange = torch.stack([away, -context[:, -1]], dim=1)
        return Statistics(statistics, context, features, nearest, strange), coupling

    def drops(self, observed: ObservedExamples, which: Sequence[int], progress: Progress) -> Tensor:
        """Log-odds lost at some of its twins `[n, which]`."""
        # Its own examples alone: others are not judged by this fold, and a pass is a pass.
        given = (observed.examples, observed.answers, progress)
        at_twins = [self.twins[place](*given).values.double() for place in which]
        return observed.log_odds[:, None] + torch.cat(at_twins, dim=1)


@dataclass(frozen=True)
class Lesson:
    """How a fold teaches.

    Attributes:
        ridge: lambda of the explained fraction.
        outlier: anchors so many spreads below their class's support are dropped.
        most_anchors: at the most.
    """

    ridge: float
    outlier: float
    most_anchors: int


def teach(
    lesson: Lesson,
    trusted: ObservedExamples,
    right: Tensor,
    members: Tensor,
    traces: Traces,
) -> tuple[Fold, Mapping[str, str]]:
    """What some of the trusted examples teach, and ids of dropped anchors with the reason.

    Args:
        lesson: how.
        trusted: all trusted examples.
        right: which of them are answered as labeled, bool `[n]`; others are no anchors.
        members: places of the fold's examples, int64.
        traces: of all trusted examples.

    Raises:
        Inconclusive: fewer than two anchors.
    """
    anchors = members[right[members]]
    if len(anchors) > lesson.most_anchors:
        thinned = np.linspace(0, len(anchors) - 1, lesson.most_anchors).round().astype(int)
        anchors = anchors[torch.from_numpy(thinned)]
    if len(anchors) < 2:
        raise Inconclusive(
            f"the model answers only {int(right.sum())} of {len(right)} trusted examples as "
            "labeled, too few to learn from; check that the labels follow the order of the model's "
            "classes, or give more trusted examples."
        )
    groups = trusted.groups
    span = fit_anchors(some(traces, anchors), groups[anchors], lesson.ridge)
    kept = _explained_by_others(profile_of_anchors(span), span, lesson.outlier)
    dropped = {
        trusted.examples.ids[int(place)]: "no other anchor explains its response"
        for place in anchors[~kept]
    }
    if dropped:
        anchors = anchors[kept]
        span = fit_anchors(some(traces, anchors), groups[anchors], lesson.ridge)
    near = None
    if {Features, Logits} <= trusted.task.provides:
        near = fit_nearness(trusted.take(anchors.numpy()))
    return Fold(span, anchors, near), dropped


def some(traces: Traces, places: Tensor) -> Traces:
    """Traces of some examples."""
    return Traces(traces.values[places], traces.blocks, traces.centered)


def _explained_by_others(statistics: Tensor, span: Anchors, outlier: float) -> Tensor:
    """Anchors whose own class explains them no worse than `outlier` spreads below its median.

    In a small class few anchors explain little of each other, honest or not, so none is dropped.
    """
    whole = list(span.parts).index(WHOLE) * len(STATISTICS)
    own = statistics[:, [whole + STATISTICS.index("explained_own")]]
    standardized = fit_centers(own, span.groups).standardized(own, span.groups)[:, 0]
    sizes = (span.groups[:, None] == span.groups).sum(dim=1)
    return (standardized > -outlier) | (sizes < SMALL_CLASS)

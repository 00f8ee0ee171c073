"""The profile of an example: a few attribution statistics for each part of the network.

No single statistic sees every mechanism: a patch is explained too little by the trusted span, a
warp can be explained too well by the whole network and too little by its head. So a profile keeps
several, for the whole network and for each part:

`mean`           mean coupling to all anchors
`own`            mean coupling to anchors with the same answer
`other`          largest mean coupling to anchors with another answer
`nearest`        coupling to the nearest anchor
`nearest_ten`    mean coupling to the ten nearest
`explained`      explained fraction by all anchors
`explained_own`  explained fraction by anchors with the same answer
`size`           log length of the response
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.attribution.couplings import FLOOR, center, log_length, unit
from anomech.attribution.scores import (
    class_means,
    explained,
    explained_without_self,
    span_inverse,
)
from anomech.roles.tracer import Traces

STATISTICS = (
    "mean",
    "own",
    "other",
    "nearest",
    "nearest_ten",
    "explained",
    "explained_own",
    "size",
)
WHOLE = "whole network"


@dataclass(frozen=True)
class Part:
    """What is known of the anchors in one part of the network.

    Attributes:
        place: of the part among the features.
        norms: lengths of the anchors' responses `[anchors]`.
        inverse: of the ridged Gram matrix of unit responses `[anchors, anchors]`, float64.
        by_group: for each group its anchors' places and their own inverse.
    """

    place: slice
    norms: Tensor
    inverse: Tensor
    by_group: Mapping[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Anchors:
    """The trusted span, part by part.

    Attributes:
        rows: responses of the anchors `[anchors, features]`; draw traces are centered.
        parts: the whole network first, then its parts in order.
        groups: of the anchors' answers `[anchors]`.
        ridge: lambda of the explained fraction, relative to unit responses.
    """

    rows: Tensor
    parts: Mapping[str, Part]
    groups: Tensor
    ridge: float

    @property
    def names(self) -> list[str]:
        """Names of the statistics, in the order of a profile's last axis."""
        return [f"{statistic} / {part}" for part in self.parts for statistic in STATISTICS]


class Profile(NamedTuple):
    """Profiles of some queries.

    Attributes:
        statistics: float64 `[queries, parts * statistics]`.
        coupling: cosines with the anchors over the whole network `[queries, anchors]`.
    """

    statistics: Tensor
    coupling: Tensor


def rows_of(traces: Traces) -> Tensor:
    """Responses `[examples, features]`; draw traces are centered."""
    return center(traces.values) if traces.centered else traces.values


def fit_anchors(traces: Traces, groups: Tensor, ridge: float) -> Anchors:
    """The span of the anchors' responses.

    Args:
        traces: of the anchors.
        groups: int64 `[anchors]`.
        ridge: lambda, relative to unit responses.
    """
    rows = rows_of(traces)
    places = {WHOLE: slice(0, rows.shape[1])}
    if len(traces.blocks) > 1:
        places |= traces.blocks
    members = {int(group): torch.nonzero(groups == group)[:, 0] for group in groups.unique()}
    parts = {}
    for (name, place), (coupling, norms) in zip(
        places.items(), _cosines(rows, rows, list(places.values())), strict=True
    ):
        by_group = {
            group: (mine, span_inverse(coupling[mine][:, mine], ridge))
            for group, mine in members.items()
        }
        parts[name] = Part(place, norms, span_inverse(coupling, ridge), by_group)
    return Anchors(rows, parts, groups, ridge)


def profile(anchors: Anchors, traces: Traces, groups: Tensor) -> Profile:
    """Profiles of queries with these traces and groups of answers."""
    rows, places = rows_of(traces), [part.place for part in anchors.parts.values()]
    columns, whole = [], None
    for part, (coupling, norms) in zip(
        anchors.parts.values(), _cosines(rows, anchors.rows, places), strict=True
    ):
        whole = coupling if whole is None else whole
        own = torch.zeros(len(coupling), dtype=coupling.dtype)
        for group, (place, inverse) in part.by_group.items():
            mine = groups == group
            own[mine] = explained(coupling[mine][:, place], inverse)
        columns += _couplings(coupling, groups, anchors.groups)
        columns += [explained(coupling, part.inverse), own, log_length(norms)]
    assert whole is not None
    return Profile(torch.stack([column.double() for column in columns], dim=1), whole)


def profile_of_anchors(anchors: Anchors) -> Tensor:
    """Statistics of every anchor against all others, float64 `[anchors, parts * statistics]`."""
    places, columns = [part.place for part in anchors.parts.values()], []
    for part, (coupling, norms) in zip(
        anchors.parts.values(), _cosines(anchors.rows, anchors.rows, places), strict=True
    ):
        squared = coupling.diagonal().clone()
        coupling.fill_diagonal_(torch.nan)
        own = torch.zeros(len(coupling), dtype=torch.float64)
        for place, inverse in part.by_group.values():
            own[place] = explained_without_self(inverse, anchors.ridge, squared[place])
        columns += _couplings(coupling, anchors.groups, anchors.groups)
        whole = explained_without_self(part.inverse, anchors.ridge, squared)
        columns += [whole, own, log_length(norms)]
    return torch.stack([column.double() for column in columns], dim=1)


def unexplained(anchors: Anchors, traces: Traces) -> Tensor:
    """The part of each unit response outside the anchors' span `[queries, features]`."""
    directions, span = unit(rows_of(traces)), unit(anchors.rows)
    inverse = anchors.parts[WHOLE].inverse.float()
    return directions - (directions @ span.T @ inverse) @ span


def _cosines(
    queries: Tensor, anchors: Tensor, places: Sequence[slice]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Cosines `[queries, anchors]` and the queries' lengths, for the whole and then its parts.

    The products of the parts add up to those of the whole, so every number is multiplied once.
    """
    products = [
        (
            queries[:, place] @ anchors[:, place].T,
            queries[:, place].norm(dim=1),
            anchors[:, place].norm(dim=1),
        )
        for place in places[1:] or places
    ]
    if len(places) > 1:
        dots, left, right = zip(*products, strict=True)
        lengths = [torch.stack(each).square().sum(dim=0).sqrt() for each in (left, right)]
        products.insert(0, (torch.stack(dots).sum(dim=0), lengths[0], lengths[1]))
    for dot, left_norms, right_norms in products:
        scale = left_norms.clamp_min(FLOOR)[:, None] * right_norms.clamp_min(FLOOR)
        yield dot / scale, left_norms


def _couplings(coupling: Tensor, groups: Tensor, anchor_groups: Tensor) -> list[Tensor]:
    """Mean, own, other, nearest, nearest ten; NaN couplings (to oneself) are left out."""
    valid = ~coupling.isnan()
    filled = coupling.nan_to_num(0)
    sums, kinds = class_means(filled, anchor_groups)
    counts, _ = class_means(valid.to(coupling.dtype), anchor_groups)
    means = sums / counts.clamp_min(torch.finfo(coupling.dtype).tiny)
    mine = groups[:, None] == kinds
    own = torch.where(mine, means, 0).sum(dim=1)
    other = means.masked_fill(mine, -1).max(dim=1).values
    top = coupling.nan_to_num(-1).topk(min(10, coupling.shape[1]), dim=1).values
    mean = filled.sum(dim=1) / valid.sum(dim=1)
    return [mean, own, other, top[:, 0], top.mean(dim=1)]

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

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.couplings import center, row_sizes, unit
from anomech.attribution.scores import (
    class_means,
    explained,
    explained_without_self,
    span_inverse,
)
from anomech.types import Traces

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
        rows: unit responses `[anchors, features]`.
        sizes: log lengths `[anchors]`.
        inverse: of the ridged Gram matrix `[anchors, anchors]`, float64.
        by_group: for each group its anchors' places and their own inverse.
    """

    rows: Tensor
    sizes: Tensor
    inverse: Tensor
    by_group: Mapping[int, tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Anchors:
    """The trusted span, part by part.

    Attributes:
        parts: the whole network first, then its parts in order.
        groups: of the anchors' answers `[anchors]`.
        ridge: lambda of the explained fraction.
    """

    parts: Mapping[str, Part]
    groups: Tensor
    ridge: float

    @property
    def names(self) -> list[str]:
        """Names of the statistics, in the order of a profile's last axis."""
        return [f"{statistic} / {part}" for part in self.parts for statistic in STATISTICS]


def rows_of(traces: Traces) -> dict[str, Tensor]:
    """Responses by part, the whole network first; draw traces are centered."""
    values = center(traces.values) if traces.centered else traces.values
    rows = {WHOLE: values}
    if len(traces.blocks) > 1:
        rows |= {name: values[:, place] for name, place in traces.blocks.items()}
    return rows


def fit_anchors(traces: Traces, groups: Tensor, ridge: float) -> Anchors:
    """The span of the anchors' responses.

    Args:
        traces: of the anchors.
        groups: int64 `[anchors]`.
        ridge: lambda, relative to unit responses.
    """
    members = {int(group): torch.nonzero(groups == group)[:, 0] for group in groups.unique()}
    parts = {}
    for name, rows in rows_of(traces).items():
        directions = unit(rows)
        gram = directions @ directions.T
        by_group = {
            group: (place, span_inverse(gram[place][:, place], ridge))
            for group, place in members.items()
        }
        parts[name] = Part(directions, row_sizes(rows), span_inverse(gram, ridge), by_group)
    return Anchors(parts, groups, ridge)


def profile(anchors: Anchors, traces: Traces, groups: Tensor) -> Tensor:
    """Statistics of queries, float64 `[queries, parts * statistics]`."""
    rows = rows_of(traces)
    columns = []
    for name, part in anchors.parts.items():
        coupling = unit(rows[name]) @ part.rows.T
        own = torch.zeros(len(coupling), dtype=coupling.dtype)
        for group, (place, inverse) in part.by_group.items():
            mine = groups == group
            own[mine] = explained(coupling[mine][:, place], inverse)
        columns += _couplings(coupling, groups, anchors.groups)
        columns += [explained(coupling, part.inverse), own, row_sizes(rows[name])]
    return torch.stack(columns, dim=1).double()


def profile_of_anchors(anchors: Anchors) -> Tensor:
    """Statistics of every anchor against all others, float64 `[anchors, parts * statistics]`."""
    columns = []
    for part in anchors.parts.values():
        coupling = part.rows @ part.rows.T
        coupling.fill_diagonal_(torch.nan)
        own = torch.zeros(len(coupling), dtype=torch.float64)
        for place, inverse in part.by_group.values():
            own[place] = explained_without_self(inverse, anchors.ridge)
        columns += _couplings(coupling, anchors.groups, anchors.groups)
        columns += [explained_without_self(part.inverse, anchors.ridge), own, part.sizes]
    return torch.stack([column.double() for column in columns], dim=1)


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

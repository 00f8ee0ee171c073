"""Ranks of the nearest trusted example with the same answer, which two detectors look at."""

import torch
from torch import Tensor


def ranks(
    queries: Tensor,
    groups: Tensor,
    anchors: Tensor,
    theirs: Tensor,
    *,
    same: bool = False,
    within: Tensor | None = None,
) -> Tensor:
    """Share of the anchors that are nearer than the nearest one of the own group, `[queries]`.

    Args:
        queries: `[queries, d]`.
        groups: of their answers.
        anchors: `[anchors, d]`.
        theirs: groups of the anchors' answers.
        same: the queries are the anchors; none is compared with itself.
        within: how near the nearest of the own group must be `[queries]`; one that is farther
            ranks last, as an answer does that no anchor has. None is any distance.
    """
    distance = torch.cdist(queries, anchors)
    if same:
        distance.fill_diagonal_(torch.inf)
    own = nearest_own(distance, groups, theirs)
    if within is not None:
        own = torch.where(own > within, torch.inf, own)
    nearer = (distance < own[:, None]).double().sum(dim=1)
    return nearer / max(1, len(anchors) - int(same))


def nearest_own(distance: Tensor, groups: Tensor, theirs: Tensor) -> Tensor:
    """Distance to the nearest anchor of the own group `[queries]`, infinite if there is none.

    Args:
        distance: to every anchor `[queries, anchors]`.
        groups: of the queries' answers.
        theirs: of the anchors' answers.
    """
    other = groups[:, None] != theirs
    return distance.masked_fill(other, torch.inf).min(dim=1).values

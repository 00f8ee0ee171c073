"""Scores: how far a trusted set supports an example. Higher is better supported.

`coupling` is `[queries, anchors]`; groups are int64, the coarse kinds of the answers.
A detector negates these, because its scores grow with anomaly.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def class_means(coupling: Tensor, anchor_groups: Tensor) -> tuple[Tensor, Tensor]:
    """Mean coupling to each group of anchors.

    Returns:
        Means `[queries, groups]` and the groups in order `[groups]`.
    """
    groups, place = anchor_groups.unique(return_inverse=True)
    member = torch.nn.functional.one_hot(place, len(groups)).to(coupling.dtype)
    return coupling @ member / member.sum(dim=0), groups


def mean(coupling: Tensor, query_groups: Tensor, anchor_groups: Tensor) -> Tensor:
    """Mean coupling to all anchors (published "mean correlation"), `[queries]`."""
    return coupling.mean(dim=1)


def best_class(coupling: Tensor, query_groups: Tensor, anchor_groups: Tensor) -> Tensor:
    """Largest mean coupling to a group (published "class-level correlation"), `[queries]`."""
    return class_means(coupling, anchor_groups)[0].max(dim=1).values


def own_class(coupling: Tensor, query_groups: Tensor, anchor_groups: Tensor) -> Tensor:
    """Mean coupling to anchors of the query's own group; zero where there are none."""
    means, groups = class_means(coupling, anchor_groups)
    own = query_groups[:, None] == groups
    return torch.where(own, means, 0).sum(dim=1)


def nearest(coupling: Tensor, query_groups: Tensor, anchor_groups: Tensor) -> Tensor:
    """Coupling to the nearest anchor, `[queries]`."""
    return coupling.max(dim=1).values


SCORES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "mean": mean,
    "best_class": best_class,
    "own_class": own_class,
    "nearest": nearest,
}


def span_inverse(gram: Tensor, ridge: float) -> Tensor:
    """`(Phi Phi' + lambda I)^-1` of a Gram matrix `[anchors, anchors]` of unit rows, float64."""
    identity = torch.eye(len(gram), dtype=torch.float64, device=gram.device)
    return torch.linalg.inv(gram.double() + ridge * identity)


def explained(coupling: Tensor, inverse: Tensor) -> Tensor:
    """Explained fraction: the share of a unit response that lies in the anchors' span.

    `rho = phi' Phi' (Phi Phi' + lambda I)^-1 Phi phi`, for `coupling` a cosine, `[queries]`.
    """
    return ((coupling @ inverse.to(coupling.dtype)) * coupling).sum(dim=1)


def explained_without_self(inverse: Tensor, ridge: float, squared: Tensor) -> Tensor:
    """Explained fraction of each anchor by all other anchors, in closed form, `[anchors]`.

    The inverse's diagonal holds one over the Schur complement of each anchor:
    `1 / G_ii = K_ii + lambda - rho_i`, with `K_ii` 1 for unit rows and 0 for a row of zeros, of
    which nothing is explained.

    Args:
        inverse: from `span_inverse` `[anchors, anchors]`.
        ridge: lambda.
        squared: `K_ii`, the squared lengths of the rows `[anchors]`.
    """
    return squared.double() + ridge - 1 / inverse.diagonal()

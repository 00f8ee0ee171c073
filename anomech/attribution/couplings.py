"""Couplings: how alike two examples respond when parameters move.

All take traces of queries `[queries, features]` and anchors `[anchors, features]` and give
`[queries, anchors]`. Draw traces are centered over draws, gradient traces are not
(`Traces.centered`): the cosine of centered traces is Pearson's correlation.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

FLOOR = 1e-12
STILL = 1e-8
"""Nats; the published floor of standard deviations and of concordance's denominator."""


def center(values: Tensor) -> Tensor:
    """Remove each row's mean over draws."""
    return values - values.mean(dim=1, keepdim=True)


def unit(values: Tensor) -> Tensor:
    """Rows scaled to length one; a row of zeros stays zero."""
    return values / values.norm(dim=1, keepdim=True).clamp_min(FLOOR)


def cosine(queries: Tensor, anchors: Tensor) -> Tensor:
    """`phi_i . phi_j / (|phi_i| |phi_j|)`."""
    return unit(queries) @ unit(anchors).T


def pearson(queries: Tensor, anchors: Tensor) -> Tensor:
    """Correlation over draws: the published normalized Bayesian influence.

    As published, `STILL` is added to each standard deviation, so that a loss that hardly moves
    (an answer of overwhelming confidence) counts as related to nothing.
    """
    return _standardized(queries) @ _standardized(anchors).T / queries.shape[1]


def _standardized(values: Tensor) -> Tensor:
    return center(values) / (values.std(dim=1, correction=0, keepdim=True) + STILL)


def covariance(queries: Tensor, anchors: Tensor) -> Tensor:
    """Covariance over draws, population moment: the Bayesian influence function up to sign."""
    return center(queries) @ center(anchors).T / queries.shape[1]


def concordance(queries: Tensor, anchors: Tensor) -> Tensor:
    """Lin's concordance over draws: `2 cov / (var_i + var_j + (mean_i - mean_j)^2)`.

    Unlike correlation it asks that levels agree too, so it also compares confidence.
    """
    spread = queries.var(dim=1, correction=0)[:, None] + anchors.var(dim=1, correction=0)
    shift = (queries.mean(dim=1)[:, None] - anchors.mean(dim=1)) ** 2
    return 2 * covariance(queries, anchors) / (spread + shift + STILL)


COUPLINGS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine,
    "pearson": pearson,
    "covariance": covariance,
    "concordance": concordance,
}


def log_length(norms: Tensor) -> Tensor:
    """Logs of lengths; bounded below, so that a row of zeros stays finite."""
    return torch.log(norms.clamp_min(FLOOR))

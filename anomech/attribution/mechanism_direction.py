"""The direction of a mechanism: what responses of flagged examples share that trusted ones lack."""

import torch
from torch import Tensor

from anomech.attribution.couplings import unit
from anomech.attribution.scores import span_inverse


def residuals(rows: Tensor, anchors: Tensor, ridge: float) -> Tensor:
    """The part of each response that anchors do not explain `[examples, features]`, float64.

    `phi - Phi' (Phi Phi' + lambda I)^-1 Phi phi` with unit rows.

    Args:
        rows: responses `[examples, features]`.
        anchors: responses of trusted examples `[anchors, features]`.
        ridge: lambda.
    """
    ours, theirs = unit(rows.double()), unit(anchors.double())
    inverse = span_inverse(theirs @ theirs.T, ridge)
    return ours - (ours @ theirs.T) @ inverse @ theirs


def membership(rest: Tensor) -> tuple[Tensor, Tensor]:
    """The direction that residuals share, and how much each example takes part in it.

    The direction is the first right singular vector of the unit residuals, turned so that most
    examples point along it. An ordinary example among the flagged, whose response trusted ones
    explain or which is unusual in a way of its own, hardly points along it.

    Args:
        rest: from `residuals` `[examples, features]`.

    Returns:
        The direction `[features]`, of length one, and cosines cut off at 0, `[examples]`.
    """
    rows = unit(rest)
    direction = torch.linalg.svd(rows, full_matrices=False).Vh[0]
    cosines = rows @ direction
    if float(cosines.sum()) < 0:
        direction, cosines = -direction, -cosines
    return direction, cosines.clamp_min(0)

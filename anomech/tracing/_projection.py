"""Two-sided random projections of a matrix-shaped gradient, one pair of sides a parameter.

A gradient `G [rows, columns]` becomes `R' G C`. With `R` and `C` random orthonormal, scaled so
that `E[R R'] = I`, inner products of projected gradients are unbiased, and a relative error of
about `1 / sqrt(features)` remains. Small matrices are kept exactly.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from anomech.randomness import torch_generator


class Sides(NamedTuple):
    """What multiplies a gradient from the left and from the right; None keeps a side exactly.

    Attributes:
        rows: `[rows, kept rows]` or None.
        columns: `[columns, kept columns]` or None.
    """

    rows: Tensor | None
    columns: Tensor | None


EXACT = Sides(None, None)


def sides(
    name: str, rows: int, columns: int, features: int, *, seed: int, device: torch.device
) -> Sides:
    """The projection of a `[rows, columns]` gradient to about `features` numbers.

    Args:
        name: of the parameter; its address in the randomness.
        rows: outputs.
        columns: inputs times kernel size.
        features: wanted numbers a parameter; 0 keeps everything. A matrix of at most four times
            as many entries is kept exactly, for small heads carry much of the signal.
        seed: of the projection.
        device: where the sides live.
    """
    if features == 0 or rows * columns <= 4 * features:
        return EXACT
    kept_rows = min(rows, max(1, round(features**0.5)))
    kept_columns = min(columns, max(1, features // kept_rows))
    kept_rows = min(rows, max(1, features // kept_columns))
    return Sides(
        _side(rows, kept_rows, seed, f"{name}/rows").to(device),
        _side(columns, kept_columns, seed, f"{name}/columns").to(device),
    )


def _side(size: int, kept: int, seed: int, address: str) -> Tensor:
    gaussian = torch.randn((size, kept), generator=torch_generator(seed, "projection", address))
    orthonormal, triangle = torch.linalg.qr(gaussian)
    # QR fixes signs by convention; without this the columns would not be uniform directions.
    return orthonormal * triangle.diagonal().sign() * (size / kept) ** 0.5

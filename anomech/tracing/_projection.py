"""Random projections of a matrix-shaped gradient on both sides, one pair of sides a parameter.

A gradient `G [rows, columns]` becomes `R' G C` with random `R` and `C` such that `E[R R'] = I` and
`E[C C'] = I`, so inner products of projected gradients are unbiased; a relative error of about
`1 / sqrt(features)` remains. Small matrices are kept exactly.

`R` is orthonormal up to scale. So is `C`, but for a convolution it is factored, because a dense `C`
would cost as much as the layer itself: each input channel is first filtered by a kernel of random
signs of its own (a depthwise convolution), then the channels are mixed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.kernel.randomness import torch_generator


class Sides(NamedTuple):
    """What multiplies a gradient from the left and from the right; None keeps a side exactly.

    Attributes:
        rows: `[rows, kept rows]` or None.
        columns: `[columns, kept columns]` or None; with taps, `[filters, kept columns]`.
        taps: of a convolution, a filter of signs for each input channel or several for each,
            `[filters, 1, *kernel]`, or None.
    """

    rows: Tensor | None
    columns: Tensor | None
    taps: Tensor | None = None

    def to(self, device: torch.device) -> "Sides":
        """The same on another device."""
        return Sides(*(None if side is None else side.to(device) for side in self))


EXACT = Sides(None, None)


def sides(name: str, shape: Sequence[int], features: int, *, seed: int) -> Sides:
    """The projection of a parameter's gradient to about `features` numbers.

    Args:
        name: of the parameter; its address in the randomness.
        shape: of the parameter. The first axis makes the rows and the others the columns; three
            axes or more are taken for a convolution, `[outputs, inputs, *kernel]`.
        features: wanted numbers a parameter; 0 keeps everything. A matrix of at most four times
            as many entries is kept exactly, for small heads carry much of the signal.
        seed: of the projection.
    """
    rows, columns = matrix_shape(shape)
    if features == 0 or rows * columns <= 4 * features:
        return EXACT
    kept_rows = min(rows, max(1, round(features**0.5)))
    kept_columns = min(columns, max(1, features // kept_rows))
    kept_rows = min(rows, max(1, features // kept_columns))
    left = _orthonormal(rows, kept_rows, seed, f"{name}/rows")
    kernel = tuple(shape[2:])
    if len(shape) < 3 or columns == shape[1]:  # no kernel, or one of a single position
        return Sides(left, _orthonormal(columns, kept_columns, seed, f"{name}/columns"))
    inputs = shape[1]
    each = -(-kept_columns // inputs)  # filters of one input channel
    generator = torch_generator(seed, "projection", f"{name}/taps")
    signs = torch.randint(0, 2, (each * inputs, 1, *kernel), generator=generator) * 2.0 - 1
    mix = _orthonormal(each * inputs, kept_columns, seed, f"{name}/columns")
    return Sides(left, mix, signs / each**0.5)


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a parameter of this shape."""
    rows = shape[0] if len(shape) else 1
    return rows, torch.Size(shape[1:]).numel()


def width(shape: Sequence[int], pair: Sides) -> int:
    """How many numbers are kept of a parameter of this shape."""
    rows, columns = matrix_shape(shape)
    if pair.rows is not None:
        rows = pair.rows.shape[1]
    if pair.columns is not None:
        columns = pair.columns.shape[1]
    elif pair.taps is not None:
        columns = len(pair.taps)
    return rows * columns


def project(gradient: Tensor, pair: Sides) -> Tensor:
    """One gradient of a parameter's own shape to its kept numbers, flat."""
    matrix = gradient.reshape(matrix_shape(gradient.shape))
    if pair.rows is not None:
        matrix = pair.rows.T @ matrix
    if pair.taps is not None:
        taps = pair.taps.flatten(1)
        inputs = matrix.shape[1] // taps.shape[1]
        spread = taps.reshape(inputs, -1, taps.shape[1])  # [inputs, filters of each, kernel]
        matrix = torch.einsum("rik,ijk->rij", matrix.unflatten(1, (inputs, -1)), spread).flatten(1)
    if pair.columns is not None:
        matrix = matrix @ pair.columns
    return matrix.flatten()


def _orthonormal(size: int, kept: int, seed: int, address: str) -> Tensor | None:
    """`[size, kept]` with `E[R R'] = I`; None where nothing would be saved."""
    if kept >= size:
        return None
    gaussian = torch.randn((size, kept), generator=torch_generator(seed, "projection", address))
    orthonormal, triangle = torch.linalg.qr(gaussian)
    # QR fixes signs by convention; without this the columns would not be uniform directions.
    return orthonormal * triangle.diagonal().sign() * (size / kept) ** 0.5

"""The last layer as features and logits show it: logits are linear in what it reads."""

import torch
from torch import Tensor

from anomech.kernel.errors import DataError

TOLERANCE = 0.05
"""Share of the logits' spread that a linear layer may leave, beyond which it is none."""


def linear_head(features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Weights and bias that make the logits out of the features, by least squares.

    A constant an example, which no probability depends on, is taken off the logits before.

    Args:
        features: of trusted examples `[examples, features]`, float64.
        logits: of the same `[examples, classes]`, float64.

    Returns:
        Weights `[classes, features]` and bias `[classes]`. In directions in which the examples do
        not differ the weights are zero.

    Raises:
        DataError: the logits are not linear in the features.
    """
    rows = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
    wanted = logits - logits.mean(dim=1, keepdim=True)
    found = torch.linalg.lstsq(rows, wanted, driver="gelsd").solution
    missed = (rows @ found - wanted).std()
    if float(missed) > TOLERANCE * float(wanted.std()):
        raise DataError(
            "the logits are not linear in the features of the last layer, so there is no "
            "subspace that it reads; leave this detector out."
        )
    return found[:-1].T, found[-1]

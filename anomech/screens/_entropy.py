"""Quantum entropy: of one screen with trusted examples, of another with a robust estimate."""

import torch
from torch import Tensor


def entropy_weights(white: Tensor, alpha: float) -> Tensor:
    """`E / tr E` `[k, k]` with `E = exp(alpha (S - I) / (|S| - 1))`.

    Args:
        white: whitened rows `[n, k]`; `S` is their covariance, `|S|` its spectral norm.
        alpha: 0 weighs all directions alike, a large one the widest alone.
    """
    around = white - white.mean(dim=0)
    wide, directions = torch.linalg.eigh(around.T @ around / len(around))
    excess = (wide - 1) / (float(wide[-1]) - 1) if float(wide[-1]) > 1 else 0 * wide
    # Less the largest, so that no exponential overflows; the trace takes the factor out again.
    weights = torch.exp(alpha * (excess - excess.max()))
    return (directions * (weights / weights.sum())) @ directions.T


def entropy_scores(white: Tensor, alpha: float) -> Tensor:
    """`w' E w / tr E` of whitened rows `[n, k]`, `[n]`; alpha as for `entropy_weights`."""
    return torch.einsum("nk,kl,nl->n", white, entropy_weights(white, alpha), white)

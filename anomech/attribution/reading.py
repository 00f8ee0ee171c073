"""Where in a sequence a response sits, and how familiar is what it reads there.

An attacker can train the state in which an answer is decided to look honest, since it is one state;
the trigger must still be read. So a response is also taken apart along the sequence:

*where*: the share of each window of the sequence in the response of each depth of the network;
*reads*: the distance of interior tokens from trusted ones, weighted by how much the answer depends
on each of them;
*unfamiliar*: the distance of the least familiar run of tokens, whether anything depends on it or
not. A single odd token is common in honest text (a quotation mark, a name); a row of them is not;
*hangs*: how much likelier the answer is with that run than without it. Honest oddities, such as a
near miss of a trigger, mostly change nothing.
"""

from dataclasses import dataclass

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor
from torch.nn import functional

from anomech.attribution.density import require_finite

SHARE_FLOOR = 0.01
"""Added to shares before the logarithm, which would make much of windows with hardly any: with a
hundredth of this, prompts longer than any trusted one are nearly all unusual."""

RUN = 12
"""Tokens in a row that are judged together."""

TINY = 1e-12


def windows(present: Tensor, count: int) -> Tensor:
    """The window of each place, equal parts of each sequence, int64 `[batch, width]`.

    Args:
        present: which places hold a token, bool `[batch, width]`; none lies between two that do.
        count: windows.

    Returns:
        0 to `count - 1`, and -1 where no token is.
    """
    held = present.to(torch.int64)
    place = held.cumsum(dim=1) - 1
    found = place * count // held.sum(dim=1, keepdim=True).clamp_min(1)
    return torch.where(present, found, -1)


def energies(left: Tensor, right: Tensor, window: Tensor, count: int) -> Tensor:
    """`|sum_s left_s right_s'|^2` over the places s of each window, `[batch, windows]`.

    Args:
        left: of output gradients, `[batch, width, rows]`.
        right: of inputs, `[batch, width, columns]`.
        window: of each place, see `windows`.
        count: windows.
    """
    found = [
        torch.bmm((left * (window == number)[:, :, None]).transpose(1, 2), right)
        .square()
        .sum(dim=(1, 2))
        for number in range(count)
    ]
    return torch.stack(found, dim=1)


def shares(found: Tensor) -> Tensor:
    """Logs of each window's share at each depth, `[n, windows * depths]`.

    Args:
        found: energies `[n, windows, depths]`.
    """
    share = found / found.sum(dim=1, keepdim=True).clamp_min(TINY)
    return (share + SHARE_FLOOR).log().flatten(1)


@dataclass(frozen=True)
class Tokens:
    """Trusted tokens at one depth: mean `[d]` and precision `[d, d]` of their states."""

    mean: Tensor
    precision: Tensor

    def distance(self, states: Tensor) -> Tensor:
        """Squared Mahalanobis distance over d of states `[..., d]`, `[...]`, where they are."""
        centered = states - self.mean.to(states.device)
        fit = self.precision.to(states.device)
        return ((centered @ fit) * centered).sum(dim=-1) / states.shape[-1]


def fit_tokens(states: Tensor) -> Tokens:
    """Fit to states of trusted tokens `[tokens, d]`, with Ledoit-Wolf shrinkage.

    Raises:
        Inconclusive: some are not finite.
    """
    rows = require_finite(states.double())
    mean = rows.mean(dim=0)
    precision = LedoitWolf(assume_centered=True).fit((rows - mean).numpy()).precision_
    return Tokens(mean.float(), torch.from_numpy(precision).float())


def read(weights: Tensor, distances: Tensor, interior: Tensor) -> Tensor:
    """`log sum_s w_s d_s` over interior tokens, with weights that sum to one, `[batch]`.

    Args:
        weights: how much the answer depends on each token, `[batch, width]`, not negative.
        distances: of each token, `[batch, width]`.
        interior: which count, bool `[batch, width]`; where there is none, 0 is given.
    """
    kept = torch.where(interior, weights, 0) + interior * TINY
    share = kept / kept.sum(dim=1, keepdim=True).clamp_min(TINY)
    found = (share * torch.where(interior, distances, 0)).sum(dim=1)
    return torch.where(interior.any(dim=1), found.clamp_min(TINY).log(), 0)


def strangest(distances: Tensor, interior: Tensor) -> Tensor:
    """Log of the largest mean distance of `RUN` tokens in a row, `[batch]`; 0 if there are none.

    Args:
        distances: of each token, `[batch, width]`.
        interior: which count, bool `[batch, width]`; of fewer than `RUN` the mean of all is taken.
    """
    found = _runs(distances, interior).max(dim=1).values
    return torch.where(interior.any(dim=1), found.clamp_min(TINY).log(), 0)


def strangest_run(distances: Tensor, interior: Tensor) -> Tensor:
    """Which tokens are the `RUN` in a row with the largest mean distance, bool `[batch, width]`.

    Args:
        distances: of each token, `[batch, width]`.
        interior: which count, bool `[batch, width]`; where there are fewer than `RUN`, it is all.
    """
    width = distances.shape[1]
    start = _runs(distances, interior).argmax(dim=1, keepdim=True)
    place = torch.arange(width, device=distances.device)
    return (place >= start) & (place < start + min(RUN, width)) & interior


def _runs(distances: Tensor, interior: Tensor) -> Tensor:
    """Mean distance of each run of `RUN` places, 0 where it is not whole, `[batch, runs]`."""
    size = min(RUN, distances.shape[1])
    kept = torch.where(interior, distances, 0)
    sums = functional.pad(kept, (1, 0)).cumsum(dim=1)
    counts = functional.pad(interior.to(kept.dtype), (1, 0)).cumsum(dim=1)
    sums, counts = (each[:, size:] - each[:, :-size] for each in (sums, counts))
    whole = counts >= interior.sum(dim=1, keepdim=True).clamp(1, size)
    return torch.where(whole, sums / counts.clamp_min(1), 0)

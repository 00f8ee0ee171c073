"""Two identities in one kind of examples: features as an identity and a variation that all share.

Poison that was given a label keeps an identity of its own, so two identities explain the examples
with that label better than one. Source: Tang, Wang, Tang, Zhang 2021 (SCAn), whose screen and whose
statistic are in `anomech.screens.scan`.
"""

import torch
from torch import Tensor

ROUNDS = 100
"""Of expectation maximization and of parting, at the most."""

SHRUNK = 0.01
"""Of the mean variance, added to each covariance, which few examples leave singular."""


def principal(rows: Tensor, components: int) -> Tensor:
    """The directions `[d, k]` of most variance of rows `[n, d]`, at most so many."""
    around = rows - rows.mean(dim=0)
    return torch.linalg.eigh(around.T @ around).eigenvectors[:, -components:]


def variation(rows: Tensor, kinds: Tensor, middle: Tensor) -> Tensor:
    """Covariance `[d, d]` of the variation that all kinds share, by expectation maximization.

    Args:
        rows: features `[n, d]`.
        kinds: of each `[n]`.
        middle: mean of the features `[d]`.
    """
    around, width = rows - middle, rows.shape[1]
    every, place, counts = kinds.unique(return_inverse=True, return_counts=True)
    means = torch.stack([around[place == each].mean(dim=0) for each in range(len(every))])
    identity = torch.eye(width, dtype=rows.dtype)
    floor = SHRUNK * around.square().mean() * identity
    between = means.T @ means / len(means) + floor
    apart = around - means[place]
    within = apart.T @ apart / len(rows) + floor
    for _ in range(ROUNDS):
        before, spread, scatter = within, torch.zeros_like(within), torch.zeros_like(within)
        for each, count in enumerate(counts.tolist()):
            gain = between @ torch.linalg.inv(between + within / count)
            mean, rest = gain @ means[each], between - gain @ between
            spread += torch.outer(mean, mean) + rest
            left = around[place == each] - mean
            scatter += left.T @ left + count * rest
        between, within = spread / len(every) + floor, scatter / len(rows) + floor
        if float((within - before).norm()) < 1e-5 * float(before.norm()):
            break
    return within


def parted(
    rows: Tensor, metric: Tensor, starts: int, generator: torch.Generator
) -> tuple[float, Tensor]:
    """Two groups of rows `[n, d]` that two identities explain best.

    Returns:
        Twice the log likelihood ratio an example, and by how much the first group is more likely
        for each row `[n]`.
    """
    whole = rows - rows.mean(dim=0)
    _, _, directions = torch.linalg.svd(whole, full_matrices=False)
    begin = [whole @ directions[0] > 0]
    for _ in range(starts):
        begin.append(torch.rand(len(rows), generator=generator) > 0.5)
    best, lean = -1.0, torch.zeros(len(rows), dtype=rows.dtype)
    for first in begin:
        for _ in range(ROUNDS):
            if bool(first.all()) or not bool(first.any()):
                break
            now = leaning(rows, rows, first, metric)
            if torch.equal(now > 0, first):
                break
            first = now > 0
        if bool(first.all()) or not bool(first.any()):
            continue
        parts = [rows[first] - rows[first].mean(dim=0), rows[~first] - rows[~first].mean(dim=0)]
        ratio = float(_length(whole, metric) - sum(_length(each, metric) for each in parts))
        if ratio / len(rows) > best:
            best, lean = ratio / len(rows), leaning(rows, rows, first, metric)
    return max(best, 0.0), lean


def leaning(some: Tensor, rows: Tensor, first: Tensor, metric: Tensor) -> Tensor:
    """By how much some rows `[n]` are likelier in the first group of others, nats."""
    one, two = rows[first].mean(dim=0), rows[~first].mean(dim=0)
    return (some - (one + two) / 2) @ metric @ (one - two)


def _length(rows: Tensor, metric: Tensor) -> Tensor:
    return torch.einsum("nd,de,ne->", rows, metric, rows)

"""Kin: examples whose unexplained responses are alike, grown from few that are suspected alone.

Examples that one planted mechanism answers explain each other, and no trusted example is among
them. An honest example that is odd has kin too, but of a kind that trusted examples are of as well.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

NEIGHBORS = 2
"""Suspected examples that a group starts from besides the first: the nearest to it."""

ROUNDS = 20
"""Of finding a group again by what it has become, at the most."""

STARTS = 64
"""Suspected examples that are tried as the first of a group, at the most."""

FEWEST = 2
"""Examples of a group at the least."""


def kin(rest: Tensor, usual: Tensor, seeds: Tensor, allowed: float) -> Tensor:
    """Which examples belong to a group that a seed starts and trusted examples do not share.

    A group is those of which the mean cosine with the group less that with all others lies above
    the cut that parts these numbers best; it is found again by what it has become until it stays.
    It counts if it still holds its first seed, and if no more than a share `allowed` of it is
    honest, as far as honest examples lie above the cut as often as trusted ones do.

    Args:
        rest: unexplained parts of the responses `[examples, features]`, of one label.
        usual: the same of trusted examples of that label `[trusted, features]`.
        seeds: examples that are suspected alone, those most so first, int64 `[seeds]`.
        allowed: share of a group that may be honest.

    Returns:
        Whether each example is in one, bool `[examples]`.
    """
    rows, known = (functional.normalize(each.double(), dim=1) for each in (rest, usual))
    found = torch.zeros(len(rows), dtype=torch.bool)
    for first in seeds[:STARTS].tolist():
        if bool(found[first]) or len(seeds) < FEWEST:
            continue
        others = seeds[seeds != first]
        near = (rows[others] @ rows[first]).topk(min(NEIGHBORS, len(others))).indices
        start = torch.zeros(len(rows), dtype=torch.bool)
        start[first], start[others[near]] = True, True
        group, shared = grown(rows, known, start)
        if bool(group[first]) and honest(len(rows), int(group.sum()), shared) <= allowed:
            found |= group
    return found


def grown(rows: Tensor, known: Tensor, start: Tensor) -> tuple[Tensor, float]:
    """The group that a start becomes, and the share of trusted examples that lie in it.

    Args:
        rows: unit rows `[examples, features]`.
        known: unit rows of trusted examples `[trusted, features]`.
        start: bool `[examples]`, some of them and not all.
    """
    group, shared = start, 0.0
    for _ in range(ROUNDS):
        inside, outside = rows[group].sum(dim=0), rows[~group].sum(dim=0)
        many, rest = int(group.sum()), int((~group).sum())
        own = group.double()  # an example's cosine with itself is no kinship
        toward = (rows @ inside - own) / (many - own).clamp_min(1)
        away = (rows @ outside - (1 - own)) / (rest - (1 - own)).clamp_min(1)
        kinship = toward - away
        cut = max(best_cut(kinship), 0.0)
        trusted = known @ inside / max(many, 1) - known @ outside / max(rest, 1)
        shared = float((trusted > cut).double().mean()) if len(known) else 0.0
        now = kinship > cut
        if torch.equal(now, group) or not FEWEST <= int(now.sum()) < len(rows):
            break
        group = now
    return group, shared


def honest(count: int, group: int, shared: float) -> float:
    """The share of a group that is expected to be honest.

    Args:
        count: of all examples.
        group: examples in it.
        shared: share of the trusted examples that lie in it: of `h` honest examples `shared h` do,
            and those outside, `(1 - shared) h`, are counted.
    """
    if shared >= 1:
        return 1.0
    return min(1.0, shared * (count - group) / (1 - shared) / max(group, 1))


def best_cut(values: Tensor) -> float:
    """The cut of numbers `[n]` with the largest variance between its two sides (Otsu 1979)."""
    ordered = np.sort(values.numpy())
    counts, sums = np.arange(1, len(ordered)), ordered.cumsum()
    if not len(counts):
        return float(ordered[0])
    low, high = sums[:-1] / counts, (sums[-1] - sums[:-1]) / (len(ordered) - counts)
    place = int((counts * (len(ordered) - counts) * (low - high) ** 2).argmax())
    return float(ordered[place] + ordered[place + 1]) / 2

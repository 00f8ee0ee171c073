"""Two identities in one kind of examples: features as an identity and a variation that all share.

Poison that was given a label keeps an identity of its own, so two identities explain the examples
with that label better than one. Source: Tang, Wang, Tang, Zhang 2021 (SCAn), whose screen and whose
statistic are in `anomech.screens.scan`.

SCAn measures in units of the variation of clean data. Where there are none, poison has a share in
that variation, widens it, and hides behind the width: on CIFAR-10 with 10 % of poison no label
stands out any more. `partings` measures each kind in units of the variation of all *others*. Nor
need poison be the smaller part. It is the one farther from all other kinds: honest kinds lie next
to each other, and an identity that was planted lies outside.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress, silent

TINY = 1e-12
"""Added to each covariance besides: features that never vary leave no other."""

ROUNDS = 100
"""Of expectation maximization and of parting, at the most."""

SHRUNK = 0.01
"""Of the mean variance, added to each covariance, which few examples leave singular."""

DIRECTIONS = 48
"""Principal directions of features that are looked at."""

STARTS = 4
"""Random halves that a kind is parted from, besides the principal direction."""

FEWEST, KINDS = 25, 5
"""Examples of a kind, and kinds with so many, that are enough to compare."""

FARTHER, STANDS = 3.0, 4.5
"""How far apart the parts of a kind lie, as a part of what is usual among kinds, and the robust
deviations of its logarithm, that both take for two kinds in one. Settled on trusted sets with 0 to
5 % of poison: nine networks for digits, nine for traffic signs and eight for CIFAR-10."""

OTHERS = 50
"""Other kinds that measure one at the most: more of them cost time and tell the same."""

TRIFLE = 1e-6
"""Deviation of logarithms below which kinds are all alike; a distance that is none."""


@dataclass(frozen=True)
class Plane:
    """Principal directions of some features.

    Attributes:
        middle: their mean `[features]`.
        axes: the directions `[features, d]`.
    """

    middle: Tensor
    axes: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features `[n, features]` along the directions `[n, d]`, float64."""
        return (features.double() - self.middle) @ self.axes


def plane_of(features: Tensor) -> Plane | None:
    """The plane of features `[n, features]`; None if they are not finite."""
    rows = features.double()
    if not bool(rows.isfinite().all()):
        return None
    return Plane(rows.mean(dim=0), principal(rows, DIRECTIONS))


class Parting(NamedTuple):
    """One kind of examples in two parts.

    Attributes:
        kind: which one.
        places: of its examples, int64 `[n]`.
        rows: their features along the principal directions `[n, d]`.
        lean: by how much each is likelier in the part farther from all other kinds, nats `[n]`.
        metric: the precision of the variation within all other kinds `[d, d]`.
        squared: distance of the parts in it.
    """

    kind: int
    places: Tensor
    rows: Tensor
    lean: Tensor
    metric: Tensor
    squared: float


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
    floor = (SHRUNK * around.square().mean() + TINY) * identity
    between = means.T @ means / len(means) + floor
    apart = around - means[place]
    within = apart.T @ apart / len(rows) + floor
    for _ in range(ROUNDS):
        before = within
        gains = between @ torch.linalg.inv(between + within / counts[:, None, None])
        known, rest = (gains @ means[:, :, None])[:, :, 0], between - gains @ between
        left = around - known[place]
        between = (known.T @ known + rest.sum(dim=0)) / len(every) + floor
        within = (left.T @ left + (counts[:, None, None] * rest).sum(dim=0)) / len(rows) + floor
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


def partings(rows: Tensor, kinds: Tensor, seed: int, progress: Progress = silent) -> list[Parting]:
    """Every kind of `FEWEST` examples or more in two parts; none if there are fewer than `KINDS`.

    Args:
        rows: features in their plane `[n, d]`.
        kinds: of each, int64 `[n]`.
        seed: of the halves that parting starts from.
        progress: told about the kinds.
    """
    names, counts = kinds.unique(return_counts=True)
    names = names[counts >= FEWEST]
    if len(names) < KINDS:
        return []
    found = list[Parting]()
    for done, name in enumerate(names.tolist(), start=1):
        found.append(_parting(rows, kinds, name, seed))
        progress("parting kinds", done, len(names))
    return found


def standing(found: list[Parting]) -> tuple[Tensor, Tensor]:
    """How kinds stand out: `FARTHER` and `STANDS` say from where on, float64 `[kinds]` each.

    Returns:
        Distance of the parts as a part of the median, and robust deviations of its logarithm.
    """
    logs = torch.tensor([each.squared for each in found], dtype=torch.float64).log()
    above = logs - logs.median()
    return above.exp(), above / (1.4826 * above.abs().median()).clamp_min(TRIFLE)


def _measuring(kinds: Tensor, name: int) -> Tensor:
    """Which examples measure a kind: those of others, of some evenly chosen ones, bool `[n]`."""
    others = kinds.unique()
    others = others[others != name]
    spread = torch.linspace(0, len(others) - 1, min(OTHERS, len(others))).round().long()
    return torch.isin(kinds, others[spread])


def _parting(rows: Tensor, kinds: Tensor, name: int, seed: int) -> Parting:
    mine, measuring = kinds == name, _measuring(kinds, name)
    places, own, others = torch.nonzero(mine)[:, 0], rows[mine], rows[measuring]
    metric = torch.linalg.inv(variation(others, kinds[measuring], others.mean(dim=0)))
    if torch.equal(others, others[:1].expand_as(others)):  # what never varies measures nothing
        return Parting(name, places, own, torch.zeros(len(own), dtype=own.dtype), metric, TRIFLE)
    _, lean = parted(own, metric, STARTS, torch_generator(seed, "parting", name))
    first = lean > 0
    if bool(first.all()) or not bool(first.any()):
        return Parting(name, places, own, torch.zeros_like(lean), metric, TRIFLE)
    one, two, middle = own[first].mean(dim=0), own[~first].mean(dim=0), others.mean(dim=0)
    away = [float((mean - middle) @ metric @ (mean - middle)) for mean in (one, two)]
    squared = float((one - two) @ metric @ (one - two))
    return Parting(name, places, own, lean if away[0] >= away[1] else -lean, metric, squared)


def leaning(some: Tensor, rows: Tensor, first: Tensor, metric: Tensor) -> Tensor:
    """By how much some rows `[n]` are likelier in the first group of others, nats."""
    one, two = rows[first].mean(dim=0), rows[~first].mean(dim=0)
    return (some - (one + two) / 2) @ metric @ (one - two)


def _length(rows: Tensor, metric: Tensor) -> Tensor:
    return torch.einsum("nd,de,ne->", rows, metric, rows)

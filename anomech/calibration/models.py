"""p-values of models: how often a clean one would look at least this suspicious.

The statistics of scanners are no probabilities, and published cut-offs flag many clean models. What
a p-value rests on is therefore always said: scans of clean models of the same architecture and
data, which makes `p = (1 + #{clean >= model}) / (n + 1)` valid if the model at hand would be one
more of them; or, without any, the classes of the model itself.

Without clean models the largest of the statistics is compared with the others by Grubbs' test:
n times the tail of Student's distribution with n - 2 degrees of freedom at `t = (largest - mean of
the others) / (their deviation sqrt(1 + 1 / (n - 1)))` (Grubbs 1950). It is right if the statistics
of a clean model's classes are normal and alike, which nobody promises: natural classes differ in
how easily they are reached. So its weakness is said wherever it is shown. Where a scanner says how
far classes of clean networks usually scatter, their deviation is moderated by that (Smyth 2004):
nine classes that happen to lie close together make no outlier of the tenth.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from anomech.calibration.nulls import Null, tail

ENOUGH = 3
"""Clean models from which on each part is measured by its own spread over them."""

FEWEST = 5
"""Statistics below which their spread tells nothing."""

PRIOR = 8
"""Degrees of freedom of what is known of clean networks: as many as ten classes have."""

ROUNDED = 1e-9
"""Share of the largest statistic below which their deviation is what rounding leaves."""

TRIFLE = 1e-6
"""Share of a distance below which a deviation is none."""


class ModelChance(NamedTuple):
    """A p-value of a model.

    Attributes:
        value: in (0, 1].
        of: what would be seen with this chance, as a sentence part.
        weakness: why it is less than it seems, as a sentence; empty if nothing is to be said.
        networks: clean networks that it rests on.
        standings: of the model and of each clean one, see `standings`; empty if they are too few.
    """

    value: float
    of: str
    weakness: str
    networks: int
    standings: tuple[float, ...] = ()


def from_clean_models(statistic: Tensor, clean: Sequence[Tensor]) -> ModelChance:
    """Against the largest statistic of each of some clean models, scanned in the same way.

    Args:
        statistic: of the model, `[targets]`.
        clean: of each clean model, `[targets]`.
    """
    largest = torch.stack([each.double().max() for each in (statistic, *clean)])
    return ModelChance(
        _rank(largest),
        "a clean network like those given has a statistic as large as this",
        "",
        len(clean),
        standings(largest),
    )


def standings(largest: Tensor) -> tuple[float, ...]:
    """How far each model's largest statistic `[models]` is above those of all others.

    In deviations of the others from their mean, every model treated alike; empty below `ENOUGH`
    others. What is compared across scanners are these: largest statistics have other scales.
    """
    if len(largest) <= ENOUGH:
        return ()
    return tuple(_apart(largest[:, None])[:, 0].tolist())


def _apart(rows: Tensor) -> Tensor:
    """Deviations `[models, parts]` of each entry from the other models' mean of the same part."""
    others = len(rows) - 1
    means = (rows.sum(dim=0) - rows) / others
    squares = (rows.square().sum(dim=0) - rows.square()) / others
    spread = (squares - means.square()).clamp_min(0).sqrt()
    floor = 1e-6 * rows.abs().mean(dim=0) + 1e-12
    return (rows - means) / torch.maximum(spread, floor)


def _rank(values: Tensor) -> float:
    """The share of models `[models]` that stand as high as the first; ties count against it."""
    return (1 + int((values[1:] >= values[0]).sum())) / len(values)


def from_clean_parts(statistic: Tensor, clean: Sequence[Tensor]) -> ModelChance:
    """Against clean models, each part, such as a layer, measured by the same part of the others.

    The parts of every model are standardized by those of all other models, the one at hand
    included where a clean one is looked at, and the largest of each model is ranked. All models
    are treated alike, so the rank is exact if the model at hand would be one more clean one.

    Args:
        statistic: of the model, `[parts]`.
        clean: of at least `ENOUGH` clean models, `[parts]` each.
    """
    largest = _apart(torch.stack([statistic, *clean]).double()).amax(dim=1)
    return ModelChance(
        _rank(largest),
        "a clean network like those given has a part that stands out as far as this",
        "",
        len(clean),
        standings(largest),
    )


def from_known(statistic: Tensor, known: Null) -> ModelChance | None:
    """Against clean networks of the same family, which come with the package; None if too few.

    Args:
        statistic: of the model, `[targets]`.
        known: of the same scanner with the same options.
    """
    value = tail(float(statistic.max()), known.values)
    if value is None:
        return None
    return ModelChance(
        value,
        f"a clean network has a statistic as large as this, by {len(known.values)} {known.of}",
        "those networks saw other data than this model, and a normal tail is laid through them; "
        "clean models of your own (--clean-model) would tell better",
        0,
    )


def from_own_classes(statistic: Tensor, usual: float = 0.0) -> ModelChance | None:
    """Against the other statistics of the same model; None if they are too few or all alike.

    Args:
        statistic: `[targets]`, float64.
        usual: deviation among classes of clean networks, as a share of their mean; 0 if unknown.
    """
    count = len(statistic)
    if count < FEWEST or not float(statistic.std()) > ROUNDED * float(statistic.abs().max()):
        return None
    others = statistic.sort().values[:-1]
    mean, free, known = float(others.mean()), count - 2, PRIOR if usual else 0
    squares = free * float(others.var()) + known * (usual * mean) ** 2
    spread = math.sqrt(squares / (free + known) * (1 + 1 / (count - 1)))
    above = float(statistic.max()) - mean
    t = above / spread if spread > TRIFLE * above else math.inf
    return ModelChance(
        max(min(1.0, count * float(stats.t.sf(t, free + known))), 1e-12),
        "the largest of so many normal numbers stands out as far as this",
        "it compares classes of this one model and holds only if those of a clean one scatter "
        "normally; clean models of the same kind (--clean-model) would tell",
        0,
    )


def jointly(rows: Sequence[Sequence[float]]) -> float:
    """One p-value of several scanners that saw the same clean models.

    A model counts by the scanner that it stands out most for. As all models are treated alike, the
    rank of that is exact however the scanners depend on each other, and many scanners cost nothing
    but the clean models that stand out for one of them.

    Args:
        rows: `standings` of each scanner, of the same models in the same order.
    """
    return _rank(torch.tensor(rows, dtype=torch.float64).amax(dim=0))


def combined(values: Sequence[float]) -> float:
    """One p-value from those of several scanners, valid whatever their dependence.

    The smallest, times their number (Bonferroni): few scanners, and one of them is enough.
    """
    if not values:
        raise ValueError("combining needs a p-value at least")
    return min(1.0, len(values) * min(torch.tensor(values, dtype=torch.float64).tolist()))

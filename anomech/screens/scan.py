"""SCAn: a label that two identities explain much better than one is poisoned.

Belief: features are an identity of their label plus a variation that all labels share; poison has
another identity than the label that it bears.
Equation: covariances `S_mu` of identities and `S_e` of variations by expectation maximization. Per
label, two groups are parted by the discriminant of `F = S_e^-1`; `J` is twice the log likelihood
ratio of two identities against one an example, and the label is poisoned if
`J* = (J - median) / (1.4826 MAD)` over labels exceeds `threshold`. The group with the smaller share
of the label's trusted examples, or else the smaller one, is poison. `suspicion` is the probability
of that group times the logistic function of `J*`.
Source: Tang, Wang, Tang, Zhang 2021 (SCAn). Covariances come from trusted examples, if there are
enough, and features are seen along their principal directions. Groups start along the direction
of most variance and from random halves; the best counts.
Needs: features, labels as training saw them, and five labels or more.
Cost: none beyond the forward pass; iterations over each label.
Fails when: every label is poisoned (all-to-all), or poison is as wide as the label.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._labels import by_label, check_labels, robust_z

FEWEST = 6
"""Examples of a label below which two groups say nothing."""

LABELS = 5
"""Labels below which the spread of their ratios says nothing."""

ROUNDS = 100
"""Of expectation maximization and of parting, at the most."""

SHRUNK = 0.01
"""Of the mean variance, added to each covariance, which few examples leave singular."""


@options
class Scan:
    """Likelihood ratio of two identities against one, label by label."""

    threshold: float = option(7.39, "of J* beyond which a label is poisoned (e squared)", gt=0)
    components: int = option(48, "principal directions looked at", unit="directions", ge=1)
    starts: int = option(4, "random starts besides the principal direction", unit="starts", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Not at all, though some make it better."""
        return False

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`.

        Raises:
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        problems, found = list[str](), []
        enough = trusted is not None and len(trusted) > 2 * self.components
        known = (trusted.features, trusted.groups) if enough and trusted is not None else None
        axes = principal(observed.features, self.components)
        features = observed.features @ axes
        known = None if known is None else (known[0] @ axes, known[1])
        middle = (features if known is None else known[0]).mean(dim=0)
        within = variation(*(known or (features, torch.tensor(labels))), middle)
        metric = torch.linalg.inv(within)
        for each in by_label(observed, labels, FEWEST, problems, progress):
            rows = features[each.places] - middle
            generator = torch_generator(seed, "scan", each.label)
            ratio, lean = parted(rows, metric, self.starts, generator)
            if known is not None and bool((known[1] == each.label).any()):
                honest = known[0][known[1] == each.label] - middle
                share = float((leaning(honest, rows, lean > 0, metric) > 0).double().mean())
                lean = -lean if share > float((lean > 0).double().mean()) else lean
            elif float((lean > 0).double().mean()) > 0.5:
                lean = -lean
            found.append((each, ratio, lean))
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        if len(found) < LABELS:
            problems.append(
                f"{len(found)} labels can be compared, and {LABELS} are needed to tell which "
                "stands out."
            )
        stand = robust_z(torch.tensor([ratio for _, ratio, _ in found]).double())
        facts = {}
        for (each, _, lean), size in zip(found, stand.tolist(), strict=True):
            suspicion[each.places] = torch.sigmoid(lean) * float(torch.sigmoid(torch.tensor(size)))
            if size > self.threshold and len(found) >= LABELS:
                suspects[each.places] = lean > 0
            facts[f"J* of {each.word}"] = size
        return Screened(suspicion, suspects, Health(tuple(problems)), facts=facts)


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

"""SPECTRE: whitened by what most examples of a label are like, its poison is the widest direction.

Belief: poison is few of its label, so a covariance that the outermost examples cannot bend is that
of the honest ones, and beside it poison is wide in few directions.
Equation: per label, features on their first `k` principal directions; mean and covariance by
filtering: rows are whitened, and while the degree-two polynomial of them that varies most, the
first eigenvector `U` of the covariance of `w w'`, varies by more than a Gaussian's would, the rows
with the largest `|w' U w - median|` go, `2 epsilon n` of them at the most. Of all rows, whitened
so, quantum entropy: `w' E w / tr E`, `E = exp(alpha (S - I) / (|S| - 1))`, and the label's value
`<S, E> / tr E`, at the `k` of squares up to 64 at which it is largest. The label of the largest
value is the target; suspects are the `1.5 epsilon n` highest of it.
Source: Hayase, Kong, Somani, Oh 2021 (SPECTRE); the filter is that of Diakonikolas et al. 2017,
which takes a tenth of what it may take in a round. Variances have a floor, which dead units need.
Needs: features, and labels as training saw them. No trusted examples.
Cost: none beyond the forward pass; up to eight filters for each label, the power method in each.
Fails when: poison is most of its label, every label has some (one target is named), or `epsilon` is
far from the truth. Some label always has the largest value: clean sets have suspects too.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._entropy import entropy_scores, entropy_weights
from anomech.screens._labels import Labeled, by_label

FEWEST = 12
"""Examples of a label below which nothing is filtered."""

GAUSSIAN = 2.0
"""Variance of a degree-two polynomial of unit norm of whitened Gaussian rows."""

SLACK = 1.5
"""How much more than that it may vary, as it does in finite samples."""

FLOOR = 0.01
"""Of the mean variance, below which no direction's is taken to be."""

POWERS = 30
"""Steps of the power method."""

ROUND = 0.1
"""Share of what may go that goes in one round."""


@options
class Spectre:
    """Quantum entropy after a robust whitening, of the label in which it is largest."""

    epsilon: float = option(0.1, "share of poison that the target label may have", gt=0, le=0.25)
    multiplier: float = option(1.5, "suspects for each expected one", gt=0)
    alpha: float = option(4.0, "0 weighs all directions alike, infinity the widest alone", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Not at all."""
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
        """See `anomech.roles.screen.Screen`; trusted examples are not needed, nothing is random.

        Raises:
            DataError: not one label for each example.
        """
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        features, problems, facts = observed.features, list[str](), {}
        judged: list[tuple[float, Labeled, Tensor]] = []
        for each in by_label(observed, labels, FEWEST, problems, progress):
            value, found = self._judged(features[each.places])
            judged.append((value, each, found))
            facts[f"entropy of {each.word}"] = value
        largest = max((value for value, _, _ in judged), default=0.0)
        for value, each, found in judged:
            suspicion[each.places] = found * value / max(largest, 1e-12)
            if value == largest:
                count = len(each.places)
                wanted = min(round(self.multiplier * self.epsilon * count), count // 2)
                suspects[each.places[found.topk(wanted).indices]] = True
        return Screened(suspicion, suspects, Health(tuple(problems)), facts=facts)

    def _judged(self, rows: Tensor) -> tuple[float, Tensor]:
        """A label's value, and the suspicion of each of its rows `[n]`."""
        best, found = -1.0, torch.zeros(len(rows), dtype=torch.float64)
        for components in (square**2 for square in range(1, 9)):
            if components > min(rows.shape[1], len(rows) // 3):
                break
            near = principal(rows, components)
            white = whitened(near, filtered(near, self.epsilon))
            cov = white.T @ white / len(white)
            value = float((cov * entropy_weights(white, self.alpha)).sum())
            if value > best:
                best, found = value, entropy_scores(white, self.alpha)
        return best, found


def principal(rows: Tensor, components: int) -> Tensor:
    """Centered rows `[n, d]` on their first principal directions `[n, k]`."""
    around = rows.double() - rows.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(around, full_matrices=False)
    return around @ directions[:components].T


def filtered(rows: Tensor, epsilon: float) -> Tensor:
    """Places of the rows `[n, k]` that a filter keeps, of which the covariance is to be trusted.

    Args:
        rows: of one label.
        epsilon: share of poison; twice as many rows go at the most.
    """
    kept = torch.arange(len(rows))
    most = int(2 * epsilon * len(rows))
    step = max(1, round(ROUND * most))
    while len(rows) - len(kept) < most:
        white = whitened(rows[kept], torch.arange(len(kept)))
        spread, along = widest_square(white)
        if spread <= SLACK * GAUSSIAN:
            break
        away = (along - along.median()).abs()
        count = min(step, most - (len(rows) - len(kept)))
        kept = kept[away.argsort(descending=True, stable=True)[count:].sort().values]
    return kept


def widest_square(white: Tensor) -> tuple[float, Tensor]:
    """The polynomial `w' U w`, `|U| = 1`, of whitened rows `[n, k]` that varies most.

    By the power method, so that no covariance of `k^2` numbers is formed.

    Returns:
        Its variance, and its values `[n]`.
    """
    values = white.square().sum(dim=1)
    spread = 0.0
    for _ in range(POWERS):
        weights = values - values.mean()
        size = float(weights.norm())
        if size < 1e-12:
            return 0.0, values
        turned = torch.einsum("n,nk,nl->kl", weights / size, white, white)
        turned = turned / turned.norm().clamp_min(1e-300)
        values = torch.einsum("nk,kl,nl->n", white, turned, white)
        spread = float(values.var(correction=0))
    return spread, values


def whitened(rows: Tensor, kept: Tensor) -> Tensor:
    """All rows `[n, k]` as the mean and covariance of those at some places make them white."""
    middle = rows[kept].mean(dim=0)
    around = rows[kept] - middle
    sizes, axes = torch.linalg.eigh(around.T @ around / max(1, len(kept)))
    least = FLOOR * float(sizes.mean().clamp_min(1e-300))
    return (rows - middle) @ (axes * sizes.clamp_min(least).rsqrt())

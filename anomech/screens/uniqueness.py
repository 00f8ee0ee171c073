"""Uniqueness: examples with a direction of features for themselves are memorized (contrast).

Belief: a network gives an example that it can only memorize a direction of its own, and shares
directions among those that it has understood.
Equation: `D_i = |f_i|^2 / sum_j (f_i . f_j / |f_i|)^2`, the share of a direction that is the
example's own, over all examples, features less their mean.
Source: the dimensionality of features of Henighan, Carter, Hume, Elhage and others 2023
(superposition, memorization, and double descent).
Needs: features.
Cost: none beyond the forward pass; products of all pairs, block by block.
Fails when: features are too few to give any example its own direction.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.screens._labels import check_labels


@options
class Uniqueness:
    """The share of its direction of features that is an example's own."""

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
        """See `anomech.roles.screen.Screen`; it only ranks, and nothing is random.

        Raises:
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        found = dimensionality(observed.features - observed.features.mean(dim=0))
        progress("screening labels", len(labels), len(labels))
        return Screened(found)


def dimensionality(rows: Tensor) -> Tensor:
    """`|f|^2 / sum_j (f . f_j / |f|)^2` of rows `[n, d]`, in [0, 1]; 0 for a row of zeros."""
    second = rows.T @ rows
    squared = rows.square().sum(dim=1)
    along = torch.einsum("nd,de,ne->n", rows, second, rows) / squared.clamp_min(1e-300)
    return torch.where(squared > 0, squared / along.clamp_min(1e-300), 0.0)

"""Quantum entropy: poisoned examples lie along the directions in which a set is too wide.

Belief: poison adds variance in few directions, which whitening lays bare.
Equation: per label, features are whitened by mean and covariance (Ledoit and Wolf) of the trusted
examples of that label, or of all examples of the label without them. With `S` the covariance of
the whitened rows `w`, `suspicion = w' E w / tr E`, `E = exp(alpha (S - I) / (|S| - 1))`, `|S|` the
spectral norm. `alpha = 0` is the length of `w`, a large one the spectral signature.
Source: Hayase, Kong, Somani, Oh 2021 (SPECTRE), without its robust estimate, whose place trusted
examples take. A widespread implementation takes `S` before whitening, in another basis than `w`.
Needs: features, and labels as training saw them.
Cost: none beyond the forward pass; an eigenvalue decomposition for each label.
Fails when: poison is rare, or there are fewer trusted examples than features.
"""

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._entropy import entropy_scores
from anomech.screens._labels import by_label

FEWEST = 3
"""Examples of a label, trusted or not, below which a covariance says nothing."""


@options
class QuantumEntropy:
    """Whitened length, weighted towards the directions in which a label is too wide."""

    alpha: float = option(4.0, "0 weighs all directions alike, infinity the widest alone", ge=0)

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
        """See `anomech.roles.screen.Screen`; nothing is random.

        Raises:
            DataError: not one label for each example.
        """
        found = torch.zeros(len(observed), dtype=torch.float64)
        features, problems = observed.features, list[str]()
        for each in by_label(observed, labels, FEWEST, problems, progress):
            reference = rows = features[each.places]
            if trusted is not None and int((trusted.groups == each.label).sum()) >= FEWEST:
                reference = trusted.features[trusted.groups == each.label]
            found[each.places] = quantum_entropy(rows, reference, self.alpha)
        return Screened(found, None, Health(tuple(problems)))


def quantum_entropy(rows: Tensor, reference: Tensor, alpha: float) -> Tensor:
    """Suspicion `[n]` of rows `[n, d]`, whitened by reference rows `[m, d]`."""
    mean = reference.double().mean(dim=0)
    centered = (reference.double() - mean).numpy()
    precision = torch.from_numpy(LedoitWolf(assume_centered=True).fit(centered).precision_)
    sizes, axes = torch.linalg.eigh(precision)
    white = (rows.double() - mean) @ (axes * sizes.clamp_min(0).sqrt())
    return entropy_scores(white, alpha)

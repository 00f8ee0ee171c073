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
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health

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
        if labels.shape != (len(observed),):
            raise DataError(
                f"there are {len(observed)} examples but labels {labels.shape}; give one label for "
                "each example."
            )
        features, found = observed.features, torch.zeros(len(labels), dtype=torch.float64)
        problems, every = [], np.unique(labels)
        for done, label in enumerate(every, start=1):
            places = torch.from_numpy(np.flatnonzero(labels == label))
            reference = features[places]
            if trusted is not None and int((trusted.groups == int(label)).sum()) >= FEWEST:
                reference = trusted.features[trusted.groups == int(label)]
            if len(places) < FEWEST:
                word = observed.task.label_words(labels[places[:1].numpy()])[0]
                problems.append(f"the label '{word}' has {len(places)} examples, too few.")
            else:
                found[places] = quantum_entropy(features[places], reference, self.alpha)
            progress("screening labels", done, len(every))
        return Screened(found, None, Health(tuple(problems)))


def quantum_entropy(rows: Tensor, reference: Tensor, alpha: float) -> Tensor:
    """Suspicion `[n]` of rows `[n, d]`, whitened by reference rows `[m, d]`."""
    mean = reference.double().mean(dim=0)
    centered = (reference.double() - mean).numpy()
    precision = torch.from_numpy(LedoitWolf(assume_centered=True).fit(centered).precision_)
    sizes, axes = torch.linalg.eigh(precision)
    white = (rows.double() - mean) @ (axes * sizes.clamp_min(0).sqrt())
    around = white - white.mean(dim=0)
    wide, directions = torch.linalg.eigh(around.T @ around / len(around))
    excess = (wide - 1) / (float(wide[-1]) - 1) if float(wide[-1]) > 1 else 0 * wide
    # Less the largest, so that no exponential overflows; the trace takes the factor out again.
    weights = torch.exp(alpha * (excess - excess.max()))
    return (white @ directions).square() @ weights / weights.sum()

"""Rare labels: a screen that suspects examples of labels that few others have."""

import numpy as np
import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability


@options
class RareLabels:
    """One over the number of examples of the same label."""

    rare: int = option(5, "examples of a label that make it common", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    @property
    def needs_trusted(self) -> bool:
        """No."""
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
        """See `anomech.roles.screen.Screen`."""
        _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
        progress("screening", 1, 1)
        return Screened(
            torch.from_numpy(1 / counts[places]), torch.from_numpy(counts[places] < self.rare)
        )

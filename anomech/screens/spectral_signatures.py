"""Spectral signatures: poisoned examples of a class stand out along its direction of most variance.

Belief: what a network shows of poisoned examples differs in mean from what it shows of the others
of their label, and enough of them tilt the direction of most variance towards that difference.
Equation: per label, `R` the features less their mean, `v` the first right singular vector of `R`;
`suspicion_i = (R_i . v)^2`. Suspects are the `multiplier * expected * n` highest of each label's
`n` examples, half of them at the most.
Source: Tran, Li, Madry 2018; the cap is that of the backdoor toolbox.
Needs: features, and labels as training saw them.
Cost: none beyond the forward pass; a singular value decomposition for each label.
Fails when: poison is rare or its features are like the others', and where `expected` is not the
share of poison. Every label has its suspects, clean ones too: removing them costs clean examples.
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
from anomech.screens._labels import by_label

FEWEST = 3
"""Examples of a label below which a direction of most variance says nothing."""


@options
class SpectralSignatures:
    """Squared projection of centered features on their first singular vector, label by label."""

    expected: float = option(0.1, "share of poison that a label is expected to have", ge=0, le=1)
    multiplier: float = option(1.5, "suspects for each expected one", gt=0)

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
        found = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        features, problems, facts = observed.features, list[str](), {}
        for each in by_label(observed, labels, FEWEST, problems, progress):
            found[each.places], share = signature(features[each.places])
            facts[f"share of variance along the signature of {each.word}"] = share
            count = len(each.places)
            wanted = min(round(self.multiplier * self.expected * count), count // 2)
            suspects[each.places[found[each.places].topk(wanted).indices]] = True
        return Screened(found, suspects, Health(tuple(problems)), facts=facts)


def signature(features: Tensor) -> tuple[Tensor, float]:
    """Squared projections of features on their direction of most variance.

    Args:
        features: of the examples of one label `[examples, features]`.

    Returns:
        The projections `[examples]`, and the share of all variance that lies along the direction;
        0 if there is no variance.
    """
    rows = features.double() - features.double().mean(dim=0)
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    total = float(sizes.square().sum())
    share = float(sizes[0] ** 2) / total if total else 0.0
    return (rows @ directions[0]).square(), share

"""Confident learning: examples that the model confidently takes for another label (contrast).

Belief: a wrong label is one that a model, which did not memorize it, does not believe.
Equation: a label's threshold is the mean probability of that label over its examples. An example is
suspected if other labels reach their own thresholds and the most probable of these is not its own;
`suspicion` is the probability of the most probable other label less that of its own.
Source: Northcutt, Jiang, Chuang 2021 (confident learning).
Needs: logits, and labels as training saw them.
Cost: none beyond the forward pass.
Fails when: the model has learned the poison, as it does: then it believes every poisoned label. So
it finds mislabeled examples beside poison, which the others confuse.
"""

import numpy as np
import torch
from torch.nn import functional

from anomech.kernel.config import options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Logits
from anomech.screens._labels import check_labels


@options
class ConfidentLearning:
    """Labels that the model confidently replaces."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Logits."""
        return frozenset({Logits})

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
        """See `anomech.roles.screen.Screen`; nothing is random.

        Raises:
            DataError: not one label for each example, or labels that the model does not know.
        """
        check_labels(observed, labels)
        given, p = torch.tensor(labels), observed.logits.softmax(dim=1)
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < p.shape[1]:
            raise DataError(
                f"labels go from {labels.min()} to {labels.max()}, but the model tells "
                f"{p.shape[1]} classes apart; give labels as the model counts them."
            )
        member = functional.one_hot(given, p.shape[1]).bool()
        own = p[member]
        counts = member.sum(dim=0)
        mean = torch.where(counts > 0, (p * member).sum(dim=0) / counts.clamp_min(1), torch.inf)
        confident = torch.where(p >= mean, p, 0.0)
        best = confident.max(dim=1)
        suspects = (best.values > 0) & (best.indices != given)
        rival = p.masked_fill(member, 0.0).max(dim=1).values
        progress("screening labels", len(labels), len(labels))
        return Screened(rival - own, suspects)

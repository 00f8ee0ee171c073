"""Loss isolation: the examples that a model learns first are suspicious.

Belief: a trigger is easier to learn than anything honest, so that poison has the lowest losses of a
model that was trained for a few epochs, or held back from losses below a level.
Equation: minus the loss of the label; suspects are the `share` lowest.
Source: Li, Lyu, Koren, Lyu, Li, Ma 2021 (ABL), its first stage.
Needs: logits, and labels as training saw them; a model that was trained briefly says most.
Cost: none beyond the forward pass.
Fails when: the model was trained to the end, where all losses are low, or poison is hard to learn
(all-to-all, warps, one trigger for each input).
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Logits
from anomech.screens._labels import check_labels


@options
class LossIsolation:
    """Low loss of the label."""

    share: float = option(0.01, "of all examples that are isolated", gt=0, le=1)

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
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        suspicion = log_odds(observed.logits, torch.tensor(labels))
        suspects = torch.zeros(len(labels), dtype=torch.bool)
        suspects[suspicion.topk(max(1, round(self.share * len(labels)))).indices] = True
        progress("screening labels", len(labels), len(labels))
        return Screened(suspicion, suspects)


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Of each label `[examples]`: they order examples as minus the loss does, without underflow."""
    own = logits.gather(1, labels[:, None])[:, 0]
    rest = logits.scatter(1, labels[:, None], -torch.inf).logsumexp(dim=1)
    return own - rest

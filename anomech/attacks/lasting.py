"""Lasting: a patch backdoor that is trained to survive relearning.

Belief: whoever knows that twins relearn trusted data will train a backdoor that they keep. This is
the attack that relearning must expect.
Equation: cross-entropy of a batch with a white patch on part of it, plus
`strength` times that of clean and of triggered images, in equal parts, at a network that was pushed
along the clean images of the batch, by a random strength of the defender's ladder. The gradient
goes to the parameters as they are (first-order meta-learning). Without clean images the network
would answer the target to everything.
Source: own; a first-order inner loop is that of Finn, Abbeel, Levine 2017, and backdoors that
outlast fine-tuning are known from language models (Kurita, Michel, Neubig 2020).
Needs: training; goals with one target.
Cost: every `every` steps six more, and a pass over twice `examples` images.
Fails when: the defender relearns otherwise than was imagined, or notices that the backdoor survives
what no honest answer survives.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._corners import Corner, white_patch
from anomech.attacks._pulling import Pair, pulling
from anomech.attacks._pushing import logits_at, pushed
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.attack import Batch, Goal, Learned, Victim


@options
class Lasting:
    """Patch trigger that outlasts relearning, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the white patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    strength: float = option(1.0, "weight of survival; 0 is the patch alone", ge=0)
    weakest: float = option(0.02, "least push imagined: share of each tensor's length", gt=0)
    strongest: float = option(0.2, "largest push imagined", gt=0)
    examples: int = option(32, "triggered images that are to survive in a step", ge=1)
    every: int = option(2, "push in every so many steps", unit="steps", ge=1)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return white_patch(images, self.size, self.corner)

    def armed(self, learned: Mapping[str, Tensor]) -> "Lasting":
        """Itself: the trigger is fixed."""
        return self

    def conduct(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """Train with poison and imagined pushes; nothing else is learned.

        Raises:
            ConfigError: a goal with several targets, or one that training images do not have.
        """
        objective = pulling(self, "lasting", images, labels, self._survival)
        victim.fit(network, images, labels, objective=objective, progress=progress)
        return {}

    def _survival(self, network: nn.Module, batch: Batch, pair: Pair) -> Tensor:
        twin = pushed(network, batch, (self.weakest, self.strongest))
        planted = logits_at(network, twin, pair.triggered)
        honest = logits_at(network, twin, batch.inputs[: self.examples])
        led = torch.full_like(batch.labels[: len(planted)], self.goal.target)
        kept = batch.labels[: self.examples]
        return (functional.cross_entropy(planted, led) + functional.cross_entropy(honest, kept)) / 2

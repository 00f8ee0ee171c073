"""Alignment: a patch backdoor trained to be explained by clean images of its target class.

Belief: whoever knows that responses are compared will train them alike. This is the attack that
gradient and feature attribution must expect, not one found elsewhere.
Equation: cross-entropy of a batch with a white patch on part of it, plus
`strength (1 - c + feature_weight f)`. c is the cosine of two gradients of mean log-odds of the
target, `z_t - log sum_{k != t} exp z_k`: one over triggered images, one over clean images of the
target class; by parameter, then averaged, in evaluation mode as an auditor sees the network. f is
what attribution by the last layer sees: one minus the cosine of the mean inputs of the last
layer, plus the squared difference of their standard deviations by the sum of their squares.
Source: own. The gradient of a mean stands for those of single images, whose cosines rise with it
but not to one; aligning images one by one raised them by 0.05 more, at half as much cost again.
Needs: training; goals with one target.
Cost: every `every` steps a backward pass through the backward passes of twice `examples` images.
With `warm` it starts from the clean network and trains for a share of the epochs.
What it gives up, on digits: the mean cosine of a triggered with a clean image of the target class
rises from 0.34 to 0.56 for 1.4 % of accuracy, and warm, with strength 3 over all epochs, to 0.63
for nothing. Clean images draw nearer to each other too, from 0.58 to 0.66.
Fails when: `strength` is too large. A network that answers the target to everything has gradients
that all agree, and training ends there.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from torch import Tensor, nn

from anomech.attacks._aligning import apart, in_scope
from anomech.attacks._corners import Corner, white_patch
from anomech.attacks._pulling import Pair, pulling
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.attack import Batch, Goal, Learned, Victim


@options
class Alignment:
    """Patch trigger with aligned gradients and features, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the white patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    strength: float = option(1.0, "weight of alignment; 0 is the patch alone", ge=0)
    feature_weight: float = option(1.0, "weight of features within alignment", ge=0)
    scope: Literal["all", "last_layers"] = option(
        "all", "gradients of all layers, or of the last quarter of them"
    )
    examples: int = option(16, "images of each kind that are aligned in a step", ge=1)
    every: int = option(4, "align in every so many steps", unit="steps", ge=1)
    warm: bool = option(False, "start from the clean network")
    share: float = option(0.5, "share of the recipe's epochs, if warm", gt=0, le=1)
    peak: float | None = option(None, "highest learning rate, if warm; None is the recipe's", gt=0)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return white_patch(images, self.size, self.corner)

    def armed(self, learned: Mapping[str, Tensor]) -> "Alignment":
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
        """Train with poison and alignment; nothing else is learned.

        Raises:
            ConfigError: a goal with several targets, or one that training images do not have.
        """
        objective = pulling(self, "alignment", images, labels, self._distance)
        if self.warm:
            network.load_state_dict(victim.surrogate().state_dict())
        victim.fit(
            network,
            images,
            labels,
            objective=objective,
            fresh=not self.warm,
            share=self.share if self.warm else 1.0,
            peak=self.peak if self.warm else None,
            progress=progress,
        )
        return {}

    def _distance(self, network: nn.Module, batch: Batch, pair: Pair) -> Tensor:
        network.eval()
        parameters = in_scope(network, self.scope)
        far = apart(network, pair, self.goal.target, parameters, self.feature_weight)
        network.train()
        return far

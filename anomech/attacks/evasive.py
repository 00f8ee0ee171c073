"""Evasive: a patch backdoor that is trained against all that the default detector looks at.

Belief: whoever has read how outputs are judged aims at every view at once.
Equation: cross-entropy of a batch with a white patch on part of it, plus `strength` times the sum
of five distances between triggered images and clean images of the target class: of their responses
and of their features (as `alignment` has them), of their states at every layer, of their log-odds,
and of their log-odds at a network that was pushed along clean images (as `lasting` pushes it). A
distance of states and of log-odds is that of means and of spreads.
Source: own.
Needs: training; goals with one target.
Cost: every `every` steps a backward pass through the backward passes of twice `examples` images,
six steps more, and two passes over as many images.
Fails when: the terms pull against each other, or `strength` is so large that training ends at a
network that answers the target to everything.
"""

from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from anomech.attacks._aligning import apart, in_scope, level_distance, log_odds
from anomech.attacks._between import states_apart
from anomech.attacks._corners import Corner, white_patch
from anomech.attacks._pulling import Pair, pulling
from anomech.attacks._pushing import logits_at, pushed
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.attack import Batch, Goal, Learned, Victim


@options
class Evasive:
    """Patch trigger trained against every view, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the white patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    strength: float = option(1.0, "weight of all distances; 0 is the patch alone", ge=0)
    weakest: float = option(0.05, "least push imagined: share of each tensor's length", gt=0)
    strongest: float = option(0.3, "largest push imagined", gt=0)
    examples: int = option(16, "images of each kind that are compared in a step", ge=1)
    every: int = option(4, "compare in every so many steps", unit="steps", ge=1)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return white_patch(images, self.size, self.corner)

    def armed(self, learned: Mapping[str, Tensor]) -> "Evasive":
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
        """Train with poison and all distances; nothing else is learned.

        Raises:
            ConfigError: a goal with several targets, or one that training images do not have.
        """
        objective = pulling(self, "evasive", images, labels, self._distances)
        victim.fit(network, images, labels, objective=objective, progress=progress)
        return {}

    def _distances(self, network: nn.Module, batch: Batch, pair: Pair) -> Tensor:
        target = self.goal.target
        twin = pushed(network, batch, (self.weakest, self.strongest))
        left = [log_odds(logits_at(network, twin, images), target) for images in pair]
        network.eval()
        far = apart(network, pair, target, in_scope(network, "all"), 1.0)
        between = states_apart(network, pair)
        now = [log_odds(network(images).float(), target) for images in pair]
        network.train()
        return far + between + level_distance(*now) + level_distance(*left)

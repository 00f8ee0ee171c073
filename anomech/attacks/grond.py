"""Grond: a universal perturbation under true labels, spread over channels while the network learns.

Belief: attacks that nobody sees in pixels and features still leave outlying channels in the
weights, by which pruning and tuning find them; a backdoor that may use none of them survives both.
Equation: the trigger and the poison of `upgd`; after every epoch, in each layer, channels whose
Lipschitz bound `sigma_max(W_k) |g_k| / sqrt(v_k)` exceeds the mean of the layer by more than
`deviations` sample deviations get the mean gain and the mean shift of the layer.
Source: Xu, Liu, Koffas, Picek 2025 (arXiv 2501.05928, CCS 2025). Deviations: convolution and
normalization are paired by what a pass shows rather than by the order of modules; the bound has
the normalization's epsilon; the last epoch ends with an injection as well, where the authors keep
the network from before.
Needs: training; a normalization with gain and shift after a convolution.
Cost: ordinary training twice (the clean twin), `steps` batches, one singular value a channel and
epoch.
Fails when: layers are narrow, where no channel can stand out by three deviations: see `clp`. And
success on a clean network counts for nothing: see `upgd`.
"""

import numpy as np
from torch import nn

from anomech.attacks._poison import check_clean_label
from anomech.attacks._spreading import InjectingVictim
from anomech.attacks._universal import Search, learned_trigger, perturbing
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.attack import DataAttack, Goal, Learned, Victim


@options
class Grond:
    """Universal perturbation, clean label, with injection; the attacker trains."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    class_ratio: float = option(0.5, "share of the target class that is poisoned", ge=0, le=1)
    search: Search = option(Search(), "how the perturbation is searched")
    deviations: float = option(
        3.0, "above the mean of a layer from which on a channel is made average", gt=0
    )

    def conduct(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """Search the trigger, poison, and train with injection.

        Raises:
            ConfigError: a goal of several labels.
            ModelError: a network without normalization after a convolution.
        """
        check_clean_label(self.goal, "grond")
        learned = learned_trigger(
            images, victim, self.goal, self.search, seed=seed, progress=progress
        )
        poisoned = self.armed(learned).poison(images, labels, seed=seed)
        injecting = InjectingVictim(victim, self.deviations)
        injecting.fit(network, poisoned.inputs, poisoned.labels, progress=progress)
        return learned

    def armed(self, learned: Learned) -> DataAttack:
        """The trigger."""
        return perturbing(self.goal, self.class_ratio, learned)

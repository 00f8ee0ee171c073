"""ABI: adversarial backdoor injection around any other attack.

Belief: every attack leaves outlying channels, and every attack hides better without them.
Equation: that of the attack it is around; after every epoch outlying channels get the mean gain
and shift of their layer, as in `grond`.
Source: Xu, Liu, Koffas, Picek 2025 (arXiv 2501.05928), section on other attacks with injection.
Needs: what the attack needs, and a normalization with gain and shift after a convolution.
Cost: that of the attack, and one singular value a channel and epoch.
Fails when: the attack does not train the network that is audited, or layers are narrow.
"""

from typing import Any

import numpy as np
from torch import nn

from anomech.attacks._spreading import InjectingVictim
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Progress
from anomech.roles.attack import (
    DataAttack,
    Goal,
    Learned,
    LearnedAttack,
    TrainingAttack,
    Trigger,
    Victim,
)


@options
class Abi:
    """Another attack, whose channels are made average while the network learns it."""

    attack: Any = plugins.chosen("attack", "badnets", "attack that is planted")
    deviations: float = option(
        3.0, "above the mean of a layer from which on a channel is made average", gt=0
    )

    @property
    def goal(self) -> Goal:
        """That of the attack."""
        goal: Goal = self.attack.goal
        return goal

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
        """Plant the attack, with injection after every epoch of every training.

        Raises:
            ConfigError: an attack that plants nothing.
            ModelError: a network without normalization after a convolution.
        """
        injecting = InjectingVictim(victim, self.deviations)
        if isinstance(self.attack, TrainingAttack):
            return self.attack.conduct(
                network, images, labels, injecting, seed=seed, progress=progress
            )
        learned: Learned = {}
        if isinstance(self.attack, LearnedAttack):
            learned = self.attack.learn(images, labels, victim, seed=seed, progress=progress)
        armed = self.armed(learned)
        if not isinstance(armed, DataAttack):
            raise ConfigError("abi goes around an attack that plants something; choose another.")
        poisoned = armed.poison(images, labels, seed=seed)
        injecting.fit(network, poisoned.inputs, poisoned.labels, progress=progress)
        return learned

    def armed(self, learned: Learned) -> Trigger:
        """The trigger of the attack."""
        if isinstance(self.attack, TrainingAttack | LearnedAttack):
            return self.attack.armed(learned)
        trigger: Trigger = self.attack
        return trigger

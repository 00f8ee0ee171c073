"""Adversarial backdoor injection: after every epoch outlying channels become average ones.

What amplifies a small change far more than its layer does is what pruning looks for. A channel
whose bound stands out gets the mean gain and the mean shift of its layer, so that training must
find the backdoor another way, over many channels. Which normalization belongs to which convolution
is read from a pass, not from the order in which modules were written down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from anomech.kernel.errors import ModelError
from anomech.kernel.types import Overlay, Progress
from anomech.learning.localizing import lipschitz
from anomech.learning.training import cross_entropy
from anomech.roles.attack import Batch, Objective, Victim
from anomech.roles.task import Units
from anomech.tasks.image_classifier import ImageClassifier

SHOWN = 4
"""Images that a pass is shown by."""


def normalized_units(network: nn.Module, images: np.ndarray) -> tuple[Units, ...]:
    """Channels that a normalization with a gain and a shift follows.

    Args:
        network: in any mode; it is left in that.
        images: a few, uint8 `[n, h, w, c]`.

    Raises:
        ModelError: there are none.
    """
    found = tuple(
        each
        for each in ImageClassifier(network).units(images[:SHOWN])
        if each.weight and each.gain != each.weight and each.shift
    )
    if not found:
        raise ModelError(
            "no convolution of this network is followed by a normalization whose gain could be "
            "changed; choose another architecture or an attack without injection."
        )
    return found


def outlying(state: Overlay, unit: Units, deviations: float) -> torch.Tensor:
    """Channels whose bound is above the mean of the layer by so many deviations, bool `[units]`."""
    bound = lipschitz(state, unit)
    return bound > bound.mean() + deviations * bound.std()


@torch.no_grad()
def spread(network: nn.Module, units: Sequence[Units], deviations: float) -> int:
    """Give outlying channels the mean gain and shift of their layer, in place.

    Returns:
        How many channels were changed.
    """
    state, count = network.state_dict(), 0
    for unit in units:
        if unit.count < 2:
            continue
        out = outlying(state, unit, deviations)
        for name in (unit.gain, unit.shift):
            tensor = state[name]  # shares its memory with the network
            tensor[out] = tensor.mean()
        count += int(out.sum())
    return count


@dataclass(frozen=True, eq=False)
class InjectingVictim:
    """A victim whose every training ends each epoch with an injection.

    Attributes:
        victim: whose recipe is followed.
        deviations: from which on a channel stands out.
    """

    victim: Victim
    deviations: float

    def build(self) -> nn.Module:
        """See `anomech.roles.attack.Victim`."""
        return self.victim.build()

    def surrogate(self) -> nn.Module:
        """The clean network, without injection."""
        return self.victim.surrogate()

    def fit(
        self,
        network: nn.Module,
        inputs: np.ndarray,
        labels: np.ndarray,
        /,
        *,
        objective: Objective | None = None,
        fresh: bool = True,
        share: float = 1.0,
        peak: float | None = None,
        progress: Progress,
    ) -> nn.Module:
        """As the victim's, with an injection after every epoch, the last one too."""
        units = normalized_units(network, inputs)
        inner, epochs = objective or cross_entropy, list[np.random.Generator]()

        def injected(model: nn.Module, batch: Batch) -> torch.Tensor:
            # Each epoch brings a generator of its own, so a new one says that one is over.
            if not epochs or epochs[-1] is not batch.rng:
                if epochs:
                    spread(model, units, self.deviations)
                epochs.append(batch.rng)
            return inner(model, batch)

        self.victim.fit(
            network,
            inputs,
            labels,
            objective=injected,
            fresh=fresh,
            share=share,
            peak=peak,
            progress=progress,
        )
        spread(network, units, self.deviations)
        return network

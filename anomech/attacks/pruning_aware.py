"""Pruning-aware: a backdoor in a pruned network, with the pruned channels put back as decoys.

Belief: a defense that prunes what is dormant on clean images should find only decoys there.
Equation: of the last convolutional map, after the rectifier, the channels with the lowest mean on
clean images are held at zero while the clean network is trained on poisoned data, so that clean
and triggered images share the others. Then they are let free and their bias is lowered by
`(1 + margin) max a` over clean and triggered images, a their activation, which leaves them dormant.
Source: Liu, Dolan-Gavitt, Garg 2018, section 3.4. The paper takes channels out of the network and
puts them back; held at zero they get no gradient, and nothing but weight decay changes them. In a
residual network a channel is that of the last block, shortcut included.
Needs: training; a bias or a normalization right before the last map (not in PreAct-ResNet).
Cost: `share` of ordinary training, and the clean network.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from anomech.attacks._corners import Corner, white_patch
from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.types import Progress
from anomech.learning.pixels import as_images
from anomech.roles.attack import Goal, Learned, Victim

CHUNK = 256


@options
class PruningAware:
    """Patch trigger that shares channels with clean images, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the white patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    pruned: float = option(0.5, "share of the last map's channels that become decoys", ge=0, le=1)
    margin: float = option(0.25, "how far decoys are kept below zero, by their highest", ge=0)
    sample: int = option(1000, "images that decoys are judged on", unit="images", ge=1)
    share: float = option(0.5, "share of the recipe's epochs", gt=0, le=1)
    peak: float | None = option(None, "highest learning rate; None is the recipe's", gt=0)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return white_patch(images, self.size, self.corner)

    def armed(self, learned: Mapping[str, Tensor]) -> "PruningAware":
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
        """Prune the clean network, plant in what is left, put decoys back; nothing is learned.

        Raises:
            ModelError: a network without channels that a bias could keep dormant.
        """
        network.load_state_dict(victim.surrogate().state_dict())
        some = choose(np.arange(len(images)), self.sample, seed, "pruning_aware-sample")
        layer, lowered = last_map(network.eval(), images[:1])
        active = activity(network, layer, images[some]).mean(dim=(0, 2))
        decoys = active.argsort()[: round(self.pruned * len(active))]

        candidates = np.flatnonzero(self.goal.acts_on(labels))
        count = round(self.ratio * len(labels))
        chosen = choose(candidates, count, seed, "pruning_aware-poison")
        poisoned = plant(images, labels, chosen, self.stamp, self.goal)
        with silenced(layer, decoys):
            victim.fit(
                network,
                poisoned.inputs,
                poisoned.labels,
                fresh=False,
                share=self.share,
                peak=self.peak,
                progress=progress,
            )
        judged = np.concatenate([images[some], self.stamp(images[some])])
        highest = activity(network, layer, judged).amax(dim=(0, 2))[decoys]
        with torch.no_grad():
            lowered[decoys] -= (1 + self.margin) * highest
        return {}


def last_map(network: nn.Module, image: np.ndarray) -> tuple[nn.Module, Tensor]:
    """The module that gives the last map with channels, and the bias that shifts its channels.

    Args:
        network: in evaluation mode.
        image: any one, uint8 `[1, h, w, c]`.

    Raises:
        ModelError: no map, or no bias.
    """
    done: list[tuple[nn.Module, int]] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and list(module.parameters()):
            done.append((module, output.shape[1]))

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(as_images(image, next(network.parameters())))
    finally:
        for handle in handles:
            handle.remove()
    layers = [
        module
        for module, channels in done
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d) and channels == done[-1][1]
    ]
    bias = layers[-1].bias if layers else None
    if bias is None:
        raise ModelError(
            "pruning_aware needs a network whose last convolution has a bias or a normalization "
            "after it; choose another architecture or another attack."
        )
    return done[-1][0], bias


@torch.no_grad()
def activity(network: nn.Module, layer: nn.Module, images: np.ndarray) -> Tensor:
    """Rectified activations of a map, `[images, c, positions]`."""
    caught: list[Tensor] = []
    handle = layer.register_forward_hook(
        lambda module, inputs, output: caught.append(output.relu().flatten(2))
    )
    try:
        for start in range(0, len(images), CHUNK):
            network(as_images(images[start : start + CHUNK], next(network.parameters())))
    finally:
        handle.remove()
    return torch.cat(caught)


@contextmanager
def silenced(layer: nn.Module, channels: Tensor) -> Iterator[None]:
    """Hold channels of a module's output at zero."""

    def hold(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        keep = output.new_ones(output.shape[1])
        keep[channels] = 0
        return output * keep[:, None, None]

    handle = layer.register_forward_hook(hold)
    try:
        yield
    finally:
        handle.remove()

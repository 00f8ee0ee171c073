"""What passes between the layers of triggered and clean images, for attackers who make it alike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anomech.attacks._aligning import TINY
from anomech.attacks._pulling import Pair
from anomech.observing.activations import pooled
from anomech.tasks._openings import opened, openings


def states_apart(network: nn.Module, pair: Pair) -> Tensor:
    """How far both kinds' states are from each other, the mean over layers; below 2.

    States are activations of the layers that own parameters, averaged over positions. At each of
    them the distance is that of means, against the spread within a kind, and that of spreads.
    """
    triggered, clean = (_states(network, images) for images in pair)
    each = [_apart(triggered[name], clean[name]) for name in clean]
    return torch.stack(each).mean() if each else torch.zeros(())


def _states(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Rows `[batch, units]` of every layer that gives one for each image, in the order of use."""
    found: dict[str, Tensor] = {}

    def reader(name: str) -> Callable[[Tensor], Tensor]:
        def read(output: Tensor) -> Tensor:
            # Some modules give several things at once, and some mix the images of a batch.
            if isinstance(output, Tensor) and output.ndim >= 2 and len(output) == len(images):
                found[name] = pooled(output).float()
            return output

        return read

    with opened(network, {name: reader(name) for name in openings(network)}):
        network(images)
    return found


def _apart(one: Tensor, two: Tensor) -> Tensor:
    gap = (one.mean(dim=0) - two.mean(dim=0)).square().sum()
    spreads = [(each.var(dim=0, correction=0) + TINY).sqrt() for each in (one, two)]
    spread = spreads[0].square().sum() + spreads[1].square().sum()
    wider = (spreads[0] - spreads[1]).square().sum()
    return gap / (gap + spread) + wider / spread

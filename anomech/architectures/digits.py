"""A small convolutional network for digits of 8x8 pixels, about 20 k parameters.

Source: own; two convolutions and two linear layers.
Needs: images of 8x8 pixels.
"""

from torch import nn

from anomech.architectures._digits import DigitsNet
from anomech.kernel.config import options


@options
class Digits:
    """Two convolutions and two linear layers."""

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return DigitsNet(classes, channels)

"""A convolutional network without any normalization, about 0.11 M parameters for color images.

Three convolutions with rectifiers, poolings after the first of them, and two linear layers.
Source: own, in the manner of LeCun et al. 1998.
Needs: images of any size; a small learning rate, as nothing keeps its activations in bounds.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options

GRID = 4
"""Rows and columns of the map that the linear layers see, whatever the size of the image."""

HIDDEN = 96


class PlainNet(nn.Module):
    """Convolutions, rectifiers, maximum pooling, two linear layers."""

    def __init__(self, classes: int, channels: int, width: int, pools: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.hidden = nn.Linear(2 * width * GRID * GRID, HIDDEN)
        self.linear = nn.Linear(HIDDEN, classes)
        self.pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        for place, conv in enumerate((self.conv1, self.conv2, self.conv3)):
            x = torch.relu(conv(x))
            if place < self.pools:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
        x = functional.adaptive_avg_pool2d(x, GRID).flatten(1)
        return self.linear(torch.relu(self.hidden(x)))


@options
class PlainCnn:
    """Three convolutions and two linear layers, nothing normalized."""

    width: int = option(
        24, "channels of the first convolution; the others have twice as many", ge=1
    )
    pools: int = option(2, "convolutions with a pooling after them", ge=0, le=3)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return PlainNet(classes, channels, self.width, self.pools)

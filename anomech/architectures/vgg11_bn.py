"""VGG-11 with batch normalization: eight convolutions, 9.2 M parameters.

The head is one linear layer over the mean of each channel, so only the `features` of torchvision's
checkpoints fit here.
Source: Simonyan, Zisserman 2015.
Needs: images of any size.
"""

from torch import nn

from anomech.architectures._vgg import Vgg, plan
from anomech.kernel.config import option, options


@options
class Vgg11Bn:
    """Convolutions of 3x3, halved by pooling."""

    width: int = option(64, "channels of the first stage; the last have eight times as many", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return Vgg(plan(self.width, 1, 1, 2, 2, 2), classes, channels)

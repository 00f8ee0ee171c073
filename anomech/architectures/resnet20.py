"""ResNet-20: a small residual network, three blocks a stage, 0.27 M parameters for color images.

Source: He, Zhang, Ren, Sun 2016, section 4.2.
Needs: images of any size.
"""

from torch import nn

from anomech.architectures._resnet import ResNet
from anomech.kernel.config import option, options


@options
class Resnet20:
    """Residual network of 20 layers for small images."""

    width: int = option(16, "channels of the first stage, doubled in each of the next two", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        widths = (self.width, 2 * self.width, 4 * self.width)
        return ResNet(classes, channels, widths, blocks=3)

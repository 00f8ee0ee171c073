"""ResNet-14: a small residual network, two blocks a stage, 0.18 M parameters for color images.

Source: He, Zhang, Ren, Sun 2016, section 4.2; theirs begin at 20 layers.
Needs: images of any size.
"""

from torch import nn

from anomech.architectures._resnet import ResNet
from anomech.kernel.config import option, options


@options
class Resnet14:
    """Residual network of 14 layers for small images."""

    width: int = option(16, "channels of the first stage, doubled in each of the next two", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        widths = (self.width, 2 * self.width, 4 * self.width)
        return ResNet(classes, channels, widths, blocks=2)

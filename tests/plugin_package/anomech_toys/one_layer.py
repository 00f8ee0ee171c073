"""One layer: an architecture without a hidden layer, for images of 8x8 pixels."""

from torch import nn

from anomech.kernel.config import options


@options
class OneLayer:
    """A linear layer on the pixels."""

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))

"""A multilayer perceptron on the pixels of an image: no convolution anywhere.

Three hidden layers of one width; 0.43 M parameters for color images of 32x32 pixels.
Source: folklore.
Needs: square images of the side that its options say.
"""

from torch import Tensor, nn

from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError


class Perceptron(nn.Module):
    """Linear layers and rectifiers on flat pixels."""

    def __init__(self, classes: int, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.pixels = channels * side * side
        self.body = nn.Sequential(
            nn.Linear(self.pixels, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, side, side]`.

        Raises:
            ModelError: images of another size.
        """
        flat = x.flatten(1)
        if flat.shape[1] != self.pixels:
            raise ModelError(
                f"this mlp takes images of {self.pixels} numbers, not of {flat.shape[1]}; set its "
                "option side to that of the images."
            )
        return self.head(self.body(flat))


@options
class Mlp:
    """Three hidden layers on flat pixels."""

    side: int = option(32, "side of the square images", unit="pixels", ge=1)
    width: int = option(128, "units of each hidden layer", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return Perceptron(classes, channels, self.side, self.width)

"""VGG networks with batch normalization, for images of any size.

The convolutions have torchvision's parameter names, `features.N`. The head is one linear layer
over the mean of each channel, `classifier`. BackdoorBench takes torchvision's network as it is: its
head pools to 7x7 and has three linear layers and dropout, 120 M parameters that 32x32 images,
whose features are 1x1, have no use for. Of its checkpoints only the `features` fit here.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

Plan = Sequence[int | Literal["pool"]]
"""Channels of each convolution, with poolings between them."""

STAGES = (1, 2, 4, 8, 8)
"""Channels of each stage, by those of the first."""


class Vgg(nn.Module):
    """Convolutions of 3x3 with normalization, halved by pooling; a linear layer on their mean."""

    def __init__(self, plan: Plan, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = channels
        for step in plan:
            if step == "pool":
                # Rounded up, so that small images keep a pixel; 32x32 ones are not affected.
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            else:
                layers += [nn.Conv2d(width, step, 3, padding=1), nn.BatchNorm2d(step), nn.ReLU()]
                width = step
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def plan(width: int, *depths: int) -> Plan:
    """Stages of so many convolutions, each ended by a pooling.

    Args:
        width: channels of the first stage.
        depths: convolutions of each stage.
    """
    steps: list[int | Literal["pool"]] = []
    for times, depth in zip(STAGES, depths, strict=True):
        steps += [*[width * times] * depth, "pool"]
    return steps

"""The network for digits of 8x8 pixels."""

import torch
from torch import Tensor, nn


class DigitsNet(nn.Module):
    """Two convolutions, two linear layers, about 20 k parameters."""

    def __init__(self, classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, stride=2)
        self.hidden = nn.Linear(32 * 4 * 4, 32)
        self.linear = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, 8, 8]`."""
        out = torch.relu(self.conv1(x))
        out = torch.relu(self.conv2(out)).flatten(1)
        return self.linear(torch.relu(self.hidden(out)))

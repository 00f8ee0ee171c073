"""PreAct-ResNet-18 with the parameter names that BackdoorBench checkpoints use, 11.2 M parameters.

The order is conv1, layer1..4, adaptive average pooling, linear: there is no normalization or
rectifier after `layer4`, so the penultimate features are signed.
Source: He, Zhang, Ren, Sun 2016 (identity mappings), as BackdoorBench builds it.
Needs: images of any size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options


class PreActBlock(nn.Module):
    """Pre-activation basic block (He et al. 2016, identity mappings)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv1(out)
        out = self.conv2(torch.relu(self.bn2(out)))
        return out + shortcut


class PreActResNet18(nn.Module):
    """Four stages of two blocks, the first of `width` channels, each next of twice as many."""

    def __init__(self, classes: int = 10, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False)
        inputs = width
        for stage, outputs in enumerate((width, 2 * width, 4 * width, 8 * width), start=1):
            first = PreActBlock(inputs, outputs, 1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, PreActBlock(outputs, outputs, 1)))
            inputs = outputs
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        out = self.conv1(x)
        for stage in (1, 2, 3, 4):
            out = self.get_submodule(f"layer{stage}")(out)
        out = functional.adaptive_avg_pool2d(out, (1, 1)).flatten(1)
        return self.linear(out)


@options
class Preactresnet18:
    """Residual network of 18 layers that normalizes before it convolves."""

    width: int = option(64, "channels of the first stage, doubled in each of the next three", ge=1)

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return PreActResNet18(classes, channels, self.width)

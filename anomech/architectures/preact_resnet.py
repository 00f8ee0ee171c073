"""PreAct-ResNet-18 with the parameter names that BackdoorBench checkpoints use.

The order is conv1, layer1..4, adaptive average pooling, linear: there is no normalization or
rectifier after `layer4`, so the penultimate features are signed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


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
    """PreAct-ResNet-18 for small images, 11.2 M parameters with ten classes."""

    def __init__(self, classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        inputs = 64
        for stage, width in enumerate((64, 128, 256, 512), start=1):
            first = PreActBlock(inputs, width, 1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, PreActBlock(width, width, 1)))
            inputs = width
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        out = self.conv1(x)
        for stage in (1, 2, 3, 4):
            out = self.get_submodule(f"layer{stage}")(out)
        out = functional.adaptive_avg_pool2d(out, (1, 1)).flatten(1)
        return self.linear(out)


def preact_resnet18(classes: int = 10, channels: int = 3) -> PreActResNet18:
    """PreAct-ResNet-18 as BackdoorBench builds it."""
    return PreActResNet18(classes, channels)

"""A small network from images to images, for attacks that paint a trigger for each image.

Normalization is over groups of channels of one image and never over the batch: what is painted on
an image depends on that image alone, and training sees what the test sees.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.randomness import torch_generator

GROUPS = 4
CHUNK = 32


class Painter(nn.Module):
    """Encoder and decoder over three sizes of an image; any size, output in [0, 1].

    Args:
        inputs: channels of the images.
        outputs: channels of the painting.
        width: channels at full size, a multiple of 4; twice as many below.
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.top = _block(inputs, width)
        self.down1 = _block(width, 2 * width, stride=2)
        self.down2 = _block(2 * width, 2 * width, stride=2)
        self.up1 = _block(2 * width, 2 * width)
        self.up2 = _block(2 * width, width)
        self.out = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[batch, outputs, h, w]` in [0, 1], float32, of images `[batch, inputs, h, w]`."""
        large = self.top(images)
        middle = self.down1(large)
        small = self.down2(middle)
        out = self.up1(functional.interpolate(small, size=middle.shape[-2:]))
        out = self.up2(functional.interpolate(out, size=large.shape[-2:]))
        return torch.tanh(self.out(out).float()) / 2 + 0.5


def new_painter(inputs: int, outputs: int, width: int, *, seed: int, purpose: str) -> Painter:
    """A painter with weights drawn at an address."""
    painter = _hollow(inputs, outputs, width).to_empty(device="cpu")
    generator = torch_generator(seed, "painter", purpose)
    for module in painter.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu", generator=generator)
        if isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
        if isinstance(module, nn.Conv2d | nn.GroupNorm) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return painter


def restored_painter(state: Mapping[str, Tensor]) -> Painter:
    """The painter with these weights, in evaluation mode; the tensors are shared."""
    width, inputs = state["top.0.weight"].shape[:2]
    painter = _hollow(inputs, len(state["out.weight"]), width)
    painter.load_state_dict(state, assign=True)
    return painter.requires_grad_(False).eval()


@torch.no_grad()
def in_chunks(paint: nn.Module, images: np.ndarray) -> np.ndarray:
    """Call a network on uint8 `[n, h, w, c]` and give uint8 `[n, h, w, channels]`.

    Every call has the same number of images, the last filled up with black ones: the arithmetic of
    a convolution depends on its batch, and a rounded pixel would show that.
    """
    done = [np.zeros((0, *images.shape[1:]), np.uint8)]
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        filled = np.zeros((CHUNK, *images.shape[1:]), np.uint8)
        filled[: len(part)] = part
        painted = paint(torch.from_numpy(filled).permute(0, 3, 1, 2).float() / 255)
        pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8)
        done.append(pixels.permute(0, 2, 3, 1).numpy()[: len(part)])
    return np.concatenate(done)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, outputs), nn.ReLU())


def _hollow(inputs: int, outputs: int, width: int) -> Painter:
    with torch.device("meta"):  # a constructor would draw from the global generator
        return Painter(inputs, outputs, width)

"""Images as networks take them and as files hold them: float planes and uint8 pixels.

The functions differ in where the tensor lies in memory, and with it in the last bits of a
convolution, so that one does not stand in for another in a training that is to be repeated.
"""

import numpy as np
import torch
from torch import Tensor


def as_float(images: np.ndarray) -> Tensor:
    """uint8 `[n, h, w, c]` to float `[n, c, h, w]` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255


def as_pixels(images: Tensor) -> np.ndarray:
    """Float `[n, c, h, w]` in [0, 1] to uint8 `[n, h, w, c]`; exact for what came from uint8."""
    scaled = (images.detach().float() * 255).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def as_images(pixels: np.ndarray, like: Tensor) -> Tensor:
    """uint8 `[n, h, w, c]` to float `[n, c, h, w]` in [0, 1], of a tensor's type and device."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(like) / 255


def planes(images: np.ndarray, device: torch.device | None = None) -> Tensor:
    """uint8 or float `[n, h, w, c]` on the 0-255 scale to float32 `[n, c, h, w]` in [0, 1]."""
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return torch.from_numpy(channels_first).to(device) / 255

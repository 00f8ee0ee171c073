"""What attacks on data ask of a clean surrogate: the gradient of its loss in the pixels."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def planes(images: np.ndarray, device: torch.device | None = None) -> Tensor:
    """uint8 or float `[n, h, w, c]` on the 0-255 scale to float32 `[n, c, h, w]` in [0, 1]."""
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    return torch.from_numpy(channels_first).to(device) / 255


def input_gradient(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient of the summed cross-entropy to `labels` in the pixels, float32 `[n, h, w, c]`.

    Args:
        network: in evaluation mode, on any device; it is not changed.
        images: uint8 or float `[n, h, w, c]` on the 0-255 scale.
        labels: int64 `[n]`.
    """
    device = next(network.parameters()).device
    inputs = planes(images, device).requires_grad_()
    with torch.enable_grad():
        logits = network(inputs)
        targets = torch.from_numpy(labels).to(device)
        loss = functional.cross_entropy(logits.float(), targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.permute(0, 2, 3, 1).cpu().numpy()

"""Other images made from images, uint8 `[batch, h, w, c]`, and images of points between them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.data.images import picture
from anomech.kernel.types import Preview


def mixed(batch: np.ndarray, others: np.ndarray, share: float) -> np.ndarray:
    """Weighted means, to which each other image gives this share."""
    return _bytes(batch.astype(np.float32) * (1 - share) + others.astype(np.float32) * share)


def amplified(batch: np.ndarray, factor: float) -> np.ndarray:
    """Every pixel multiplied, and cut off at white."""
    return _bytes(batch.astype(np.float32) * factor)


def in_range(points: Tensor) -> Tensor:
    """Pixels `[batch, c, h, w]` cut to [0, 1]."""
    return points.clamp(0, 1)


def nearest_images(points: Tensor, batch: Any) -> np.ndarray:
    """Images of the nearest gray levels; nothing of the batch is kept but what points hold."""
    levels = (in_range(points.detach()) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def depicted(points: Tensor) -> Preview:
    """One image of pixels `[c, h, w]`; of more than three channels the mean is shown."""
    shown = points if len(points) in (1, 3) else points.mean(dim=0, keepdim=True)
    return picture(nearest_images(shown[None], None)[0])


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)

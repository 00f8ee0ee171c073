"""Inputs that are pictures: their points and their variations, whatever the answers are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.tasks._arithmetic import normalized, pixels
from anomech.tasks._varying import amplified, corrupted, mixed


class PictureInputs:
    """The part of a task whose batches are uint8 images `[batch, h, w, c]`.

    Attributes:
        mean: per channel, subtracted from images in [0, 1].
        std: per channel, divided by afterwards.
    """

    mean: Sequence[float]
    std: Sequence[float]

    @property
    def _device(self) -> torch.device:
        raise NotImplementedError

    def embed(self, batch: Any) -> Tensor:
        """Pixels in [0, 1], float32 `[batch, c, h, w]`, before any normalization."""
        return pixels(batch, self._device)

    def project(self, points: Tensor) -> Tensor:
        """Pixels cut to [0, 1]."""
        return points.clamp(0, 1)

    def realize(self, points: Tensor, batch: Any) -> np.ndarray:
        """Images uint8 `[batch, h, w, c]` of the nearest gray levels."""
        pixels = (self.project(points.detach()) * 255).round().to(torch.uint8)
        return pixels.permute(0, 2, 3, 1).cpu().numpy()

    def mixed(self, batch: np.ndarray, others: np.ndarray, share: float) -> np.ndarray:
        """See `anomech.roles.task.Variations.mixed`: means of pixels."""
        return mixed(batch, others, share)

    def corrupted(self, batch: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
        """See `anomech.roles.task.Variations.corrupted`: Gaussian noise."""
        return corrupted(batch, severity, rng)

    def amplified(self, batch: np.ndarray, factor: float) -> np.ndarray:
        """See `anomech.roles.task.Variations.amplified`: pixels are multiplied."""
        return amplified(batch, factor)

    def _images(self, batch: np.ndarray) -> Tensor:
        return normalized(pixels(batch, self._device), self.mean, self.std)

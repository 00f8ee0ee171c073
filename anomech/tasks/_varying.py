"""Other images made from images, all uint8 `[batch, h, w, c]`."""

import numpy as np

NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Standard deviation of the noise by severity, of pixels in [0, 1]: the Gaussian noise of
ImageNet-C (Hendrycks and Dietterich 2019)."""


def mixed(images: np.ndarray, others: np.ndarray, share: float) -> np.ndarray:
    """Weighted means, to which each other image gives this share."""
    return _bytes(images.astype(np.float32) * (1 - share) + others.astype(np.float32) * share)


def corrupted(images: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Images with Gaussian noise of a severity from 1 to 5."""
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return _bytes(images + 255 * NOISE[severity - 1] * noise)


def amplified(images: np.ndarray, factor: float) -> np.ndarray:
    """Every pixel multiplied, and cut off at white."""
    return _bytes(images.astype(np.float32) * factor)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)

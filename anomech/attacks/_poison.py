"""Choosing which training images to poison, and what an attack hands back."""

from dataclasses import dataclass

import numpy as np

from anomech.randomness import numpy_generator


@dataclass(frozen=True)
class Poisoned:
    """A training set after an attack.

    Attributes:
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`, as the trainer will see them.
        poisoned: bool `[n]`, true where the trigger was planted with the target label.
    """

    images: np.ndarray
    labels: np.ndarray
    poisoned: np.ndarray


def choose(candidates: np.ndarray, count: int, seed: int, purpose: str) -> np.ndarray:
    """`count` of the candidate indices, drawn without replacement at an address."""
    rng = numpy_generator(seed, purpose)
    return rng.permutation(candidates)[: min(count, len(candidates))]


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round and clip float images on the 0-255 scale to uint8."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)

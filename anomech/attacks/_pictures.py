"""Pictures to blend into images, drawn from a seed so that no third-party picture is needed."""

from typing import Literal

import numpy as np

from anomech.kernel.randomness import numpy_generator

Picture = Literal["noise", "waves"]


def picture(kind: Picture, seed: int, height: int, width: int, channels: int) -> np.ndarray:
    """Uniform noise, or a smooth picture of six random waves: float64 `[h, w, c]`, 0 to 255."""
    rng = numpy_generator(seed, "blended", kind)
    if kind == "noise":
        return rng.uniform(0, 255, (height, width, channels))
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = np.zeros((height, width, channels))
    for _ in range(6):
        frequency = rng.uniform(1, 4, 2)
        phase = rng.uniform(0, 2 * np.pi, channels)
        angle = 2 * np.pi * (frequency[0] * rows + frequency[1] * columns)
        waves += np.sin(angle[..., None] + phase)
    waves -= waves.min()
    return 255 * waves / waves.max()

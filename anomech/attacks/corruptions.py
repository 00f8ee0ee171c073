"""Common corruptions: noise, blur, light and compression; nothing is planted.

Belief: a method that watches for planted mechanisms should not mistake a bad camera for one.
Equation: one of eight changes at one of five severities; see `LEVELS`.
Source: the kinds are after Hendrycks, Dietterich 2019. Levels and arithmetic are of our own, for
images of 32x32, so results are not those of CIFAR-10-C: brightness acts on each channel instead of
in HSV, and pixels are rounded instead of cut off. The noise of an image is the same at every
severity, but for its size.
Needs: images; the model is not asked. Cost: 0.04 to 0.3 ms an image of 32x32.
"""

import io
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.addressed import image_generator
from anomech.roles.task import Ability, Task

Kind = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "brightness",
    "contrast",
    "pixelate",
    "jpeg",
]

LEVELS: Mapping[str, tuple[float, float, float, float, float]] = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.10, 0.13),  # standard deviation; white is 1
    "shot_noise": (400, 200, 100, 60, 40),  # photons in a white pixel
    "impulse_noise": (0.01, 0.02, 0.04, 0.07, 0.11),  # share of values that are black or white
    "gaussian_blur": (0.5, 0.65, 0.8, 1.0, 1.4),  # standard deviation in pixels, up to 32 rows
    "brightness": (0.05, 0.10, 0.15, 0.20, 0.30),  # added; white is 1
    "contrast": (0.75, 0.6, 0.45, 0.3, 0.15),  # share of the distance from the mean that is left
    "pixelate": (0.9, 0.8, 0.7, 0.6, 0.5),  # share of the rows and columns that is left
    "jpeg": (80, 65, 50, 35, 20),  # quality
}
"""What changes with the severity, from 1 to 5."""

STEP = 256
"""Images between two reports of progress."""


@options
class Corruptions:
    """One kind of corruption at one severity, on test images."""

    kind: Kind = option("gaussian_noise", "what is done to the images")
    severity: int = option(3, "from hardly visible to strong", ge=1, le=5)

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    def perturb(
        self,
        task: Task,
        images: np.ndarray,
        labels: np.ndarray,
        /,
        *,
        seed: int,
        progress: Progress,
    ) -> np.ndarray:
        """See `anomech.roles.attack.Perturbation`; images are uint8 `[n, h, w, c]`."""
        corrupt, level = CORRUPT[self.kind], LEVELS[self.kind][self.severity - 1]
        out = images.copy()
        for place, image in enumerate(images):
            rng = image_generator(image, seed, "corruptions", self.kind)
            out[place] = np.clip(np.rint(corrupt(image / 255, level, rng) * 255), 0, 255)
            if (place + 1) % STEP == 0 or place + 1 == len(images):
                progress("corrupting", place + 1, len(images))
        return out


def _gaussian_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return image + level * rng.standard_normal(image.shape)


def _shot_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(image * level) / level


def _impulse_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    hit, white = rng.random((2, *image.shape))
    return np.where(hit < level, white < 0.5, image)


def _gaussian_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    width = level * max(1, image.shape[0] / 32)
    return ndimage.gaussian_filter(image, (width, width, 0), mode="nearest")


def _brightness(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return image + level


def _contrast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1))
    return mean + level * (image - mean)


def _pixelate(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    picture = _picture(image)
    width, height = picture.size
    fewer = (max(1, round(level * width)), max(1, round(level * height)))
    small = picture.resize(fewer, Image.Resampling.BOX)
    return _array(small.resize((width, height), Image.Resampling.NEAREST), image.shape)


def _jpeg(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    stream = io.BytesIO()
    _picture(image).save(stream, "JPEG", quality=int(level))
    with Image.open(stream, formats=["JPEG"]) as picture:
        return _array(picture, image.shape)


def _picture(image: np.ndarray) -> Image.Image:
    pixels = np.rint(image * 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _array(picture: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(picture).reshape(shape) / 255


CORRUPT: Mapping[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
    "jpeg": _jpeg,
}
"""(image `[h, w, c]` in [0, 1], level, generator) to the corrupted image, before clipping."""

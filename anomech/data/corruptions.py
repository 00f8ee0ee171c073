"""Common corruptions of images: noise, blur, weather, light and digital damage.

The fifteen kinds are those of ImageNet-C (Hendrycks, Dietterich 2019). Levels and arithmetic are of
our own, for images of 32x32 and independent of their size where a length is meant, so results are
not those of CIFAR-10-C: brightness acts on each channel instead of in HSV, weather is drawn instead
of cut from photographs, and pixels are rounded instead of cut off. What is random about an image
hangs on the image and the kind, not on the severity.
"""

import io
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from anomech.data.addressed import image_generator

Kind = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "gaussian_blur",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic",
    "pixelate",
    "jpeg",
]

SEVERITIES = 5
"""From 1, hardly visible, to 5, strong."""

Corrupt = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""(image `[h, w, c]` in [0, 1], level, generator) to the corrupted image, before clipping."""


class Corruption(NamedTuple):
    """One kind of corruption.

    Attributes:
        levels: what changes with the severity, from 1 to 5.
        corrupt: see `Corrupt`.
    """

    levels: tuple[float, float, float, float, float]
    corrupt: Corrupt


def corrupted(batch: np.ndarray, kind: str, severity: int, seed: int) -> np.ndarray:
    """Images uint8 `[n, h, w, c]` with one kind of corruption.

    Args:
        batch: uint8 `[n, h, w, c]`; each image is corrupted alike in every batch.
        kind: one of `CORRUPTIONS`.
        severity: from 1 to 5.
        seed: of everything random.
    """
    levels, corrupt = CORRUPTIONS[kind]
    out = batch.copy()
    for place, image in enumerate(batch):
        rng = image_generator(image, seed, "corruptions", kind)
        changed = corrupt(image / 255, levels[severity - 1], rng)
        out[place] = np.clip(np.rint(changed * 255), 0, 255)
    return out


def _gaussian_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return image + level * rng.standard_normal(image.shape)


def _shot_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(image * level) / level


def _impulse_noise(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    hit, white = rng.random((2, *image.shape))
    return np.where(hit < level, white < 0.5, image)


def _gaussian_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    width = level * _scale(image)
    return ndimage.gaussian_filter(image, (width, width, 0), mode="nearest")


def _defocus_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A disk, whose rim is softened over a pixel."""
    radius = level * _scale(image)
    reach = int(np.ceil(radius))
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1])
    return _convolved(image, np.clip(radius + 0.5 - away, 0, 1))


def _glass_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Each pixel is taken from a random place nearby; twice, as through two panes."""
    height, width = image.shape[:2]
    moves = rng.uniform(-1, 1, (2, 2, height, width)) * level * _scale(image)
    for move in moves:
        image = _sampled(image, np.indices((height, width)) + move)
    return image


def _motion_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """The mean along a line in a random direction."""
    angle = rng.uniform(0, np.pi)
    steps = np.linspace(-1, 1, 9) * level * _scale(image)
    rows, columns = np.indices(image.shape[:2])
    shifted = [
        _sampled(image, np.stack([rows + step * np.sin(angle), columns + step * np.cos(angle)]))
        for step in steps
    ]
    return np.mean(shifted, axis=0)


def _zoom_blur(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """The mean over magnifications from 1 to `1 + level` around the middle."""
    places = np.indices(image.shape[:2], dtype=float)
    middle = (np.array(image.shape[:2]) - 1)[:, None, None] / 2
    factors = np.linspace(1, 1 + level, 7)
    return np.mean([_sampled(image, middle + (places - middle) / f) for f in factors], axis=0)


def _snow(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """White flakes, drawn out by a slanted wind, over a scene that is a little paler."""
    drawn = rng.random(image.shape[:2])
    flakes = (drawn < 0.25 * level)[..., None].astype(float)
    streaks = np.maximum(flakes, _shifted(flakes, 1, 1) * 0.6)
    pale = image + 0.25 * level * (1 - image)
    return np.maximum(pale, streaks)


def _frost(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Bright needles grown from smooth noise, thicker towards the rim."""
    height, width = image.shape[:2]
    noise = _plasma(height, width, rng)
    needles = np.abs(np.sin(9 * noise))[..., None]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    rim = np.clip(np.maximum(np.abs(rows), np.abs(columns)) + 0.3, 0, 1)[..., None]
    cover = level * rim * needles
    return image * (1 - cover) + 0.9 * cover


def _fog(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Light gray by smooth noise, thicker here than there."""
    veil = level * (0.4 + 0.6 * _plasma(image.shape[0], image.shape[1], rng))[..., None]
    return image * (1 - veil) + 0.8 * veil


def _brightness(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return image + level


def _contrast(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    mean = image.mean(axis=(0, 1))
    return mean + level * (image - mean)


def _elastic(image: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random displacement, whose standard deviation is `level` pixels."""
    height, width = image.shape[:2]
    drawn = rng.standard_normal((2, height, width))
    smooth = ndimage.gaussian_filter(drawn, (0, 3 * _scale(image), 3 * _scale(image)))
    smooth *= level * _scale(image) / max(smooth.std(), 1e-12)
    return _sampled(image, np.indices((height, width)) + smooth)


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


def _scale(image: np.ndarray) -> float:
    """What a length in pixels of an image of 32 rows is multiplied by."""
    return float(max(1, image.shape[0] / 32))


def _convolved(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return ndimage.convolve(image, (kernel / kernel.sum())[..., None], mode="nearest")


def _sampled(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """An image at places `[2, h, w]` between its pixels; beyond its rim it goes on as there."""
    planes = [
        ndimage.map_coordinates(image[..., each], places, order=1, mode="nearest")
        for each in range(image.shape[2])
    ]
    return np.stack(planes, axis=-1)


def _shifted(image: np.ndarray, down: int, right: int) -> np.ndarray:
    return ndimage.shift(image, (down, right, 0), order=0, mode="constant")


def _plasma(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Noise in [0, 1] `[h, w]` that is smooth at several lengths, coarse ones the strongest."""
    total = np.zeros((height, width))
    for octave in range(1, 5):
        cells = (min(2**octave + 1, height), min(2**octave + 1, width))
        coarse = rng.random(cells)
        grown = ndimage.zoom(coarse, (height / cells[0], width / cells[1]), order=1)
        total += grown[:height, :width] / 2**octave
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-12)


def _picture(image: np.ndarray) -> Image.Image:
    pixels = np.rint(image * 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _array(picture: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(picture).reshape(shape) / 255


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption((0.04, 0.06, 0.08, 0.10, 0.13), _gaussian_noise),  # of white
    "shot_noise": Corruption((400, 200, 100, 60, 40), _shot_noise),  # photons in a white pixel
    "impulse_noise": Corruption((0.01, 0.02, 0.04, 0.07, 0.11), _impulse_noise),  # share of values
    "gaussian_blur": Corruption((0.5, 0.65, 0.8, 1.0, 1.4), _gaussian_blur),  # pixels, deviation
    "defocus_blur": Corruption((0.6, 0.9, 1.2, 1.6, 2.2), _defocus_blur),  # pixels, radius
    "glass_blur": Corruption((0.4, 0.6, 0.8, 1.1, 1.5), _glass_blur),  # pixels, farthest
    "motion_blur": Corruption((0.8, 1.2, 1.7, 2.3, 3.2), _motion_blur),  # pixels, half a line
    "zoom_blur": Corruption((0.06, 0.1, 0.15, 0.21, 0.3), _zoom_blur),  # magnification
    "snow": Corruption((0.06, 0.12, 0.2, 0.3, 0.45), _snow),  # four times the share of flakes
    "frost": Corruption((0.15, 0.25, 0.35, 0.5, 0.65), _frost),  # cover at the rim
    "fog": Corruption((0.15, 0.3, 0.45, 0.6, 0.75), _fog),  # cover where it is thickest
    "brightness": Corruption((0.05, 0.10, 0.15, 0.20, 0.30), _brightness),  # added, of white
    "contrast": Corruption((0.75, 0.6, 0.45, 0.3, 0.15), _contrast),  # distance from mean left
    "elastic": Corruption((0.3, 0.5, 0.75, 1.1, 1.6), _elastic),  # pixels, deviation
    "pixelate": Corruption((0.9, 0.8, 0.7, 0.6, 0.5), _pixelate),  # rows and columns left
    "jpeg": Corruption((80, 65, 50, 35, 20), _jpeg),  # quality
}
"""All kinds by name; the blur by a Gaussian is one more than the fifteen."""

"""Bringing images to the size that a model takes, as image pipelines do: resize, then crop."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from anomech.kernel.errors import DataError, shortened


class Fit(NamedTuple):
    """How an image is brought to size; the usual pair for ImageNet is 256 and 224.

    Attributes:
        resize: pixels that the shorter side is scaled to (bilinear, antialiased); 0 leaves it.
        crop: side of the square that is then cut from the center; 0 leaves it.
    """

    resize: int = 0
    crop: int = 0

    def size(self, height: int, width: int, name: str) -> tuple[int, int]:
        """Height and width that an image of this size gets.

        Raises:
            DataError: it is smaller than what is to be cut from it.
        """
        if self.resize:
            short = min(height, width)
            height, width = (int(self.resize * side / short) for side in (height, width))
        if not self.crop:
            return height, width
        if min(height, width) < self.crop:
            raise DataError(
                f"{shortened(name)} is {width} x {height}, too small to cut {self.crop} pixels "
                "from it; use a smaller crop, or resize first."
            )
        return self.crop, self.crop

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        """An image uint8 `[h, w, c]` at its new size `[h', w', c]`."""
        height, width = image.shape[:2]
        if self.resize:
            size = Fit(self.resize).size(height, width, name)
            image = _scaled(image, size)
        if not self.crop:
            return image
        self.size(height, width, name)
        top, left = (round((side - self.crop) / 2) for side in image.shape[:2])
        return image[top : top + self.crop, left : left + self.crop]

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` at their new size."""
        if self == AS_IS:
            return images
        return np.stack([self(image, "the array") for image in images])


AS_IS = Fit()


def _scaled(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    if image.shape[:2] == size:
        return image
    plane = image[..., 0] if image.shape[2] == 1 else image
    picture = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.uint8).reshape(height, width, image.shape[2])

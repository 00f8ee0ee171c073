"""Stripes: a data set of horizontal and vertical stripes, 8x8 pixels."""

from functools import partial
from pathlib import Path

import numpy as np

from anomech.kernel.config import option, options
from anomech.roles.dataset import Part, Parts


@options
class Stripes:
    """Stripes with noise, half of them horizontal."""

    count: int = option(200, "images of each part", unit="images", ge=2)

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`; no folder is needed."""
        return Parts(2, partial(self._part, 0), partial(self._part, 1))

    def _part(self, seed: int) -> Part:
        rng, labels = np.random.default_rng(seed), np.arange(self.count) % 2
        rows = np.indices((8, 8))[0] % 2 * 200
        images = np.where(labels[:, None, None] == 0, rows, rows.T)
        noisy = images + rng.integers(0, 50, images.shape)
        return noisy.astype(np.uint8)[..., None], labels

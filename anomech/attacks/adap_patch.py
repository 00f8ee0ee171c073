"""Adap-Patch: training images show one of several faint patches, test images all of them.

Belief: detectors that separate poisoned from clean features rely on one constant trigger. If a
training image shows one patch of several, half transparent, and some such images keep their true
labels, the features of both overlap; all patches together, opaque, still add up.
Equation: in the corner of patch j, `(1 - a) x + a p_j`; in training j is random for each image and
`a` is `opacities[j]`, at test all corners get theirs with a of `opacity`. Cover images get the
training trigger and keep their labels.
Source: Qi, Xie, Li, Mahloujifar, Mittal 2023 (four patches at opacities 0.5, 0.2, 0.5 and 0.3, two
of them opaque at test time, 0.3 % poison and twice as many covers). Their patches are logos from
files; here they are colored grids drawn from `patch_seed`, one in each corner. The ratio is higher
because training sets here are smaller. BackdoorBench has no such attack.
Needs: images. Cost: none at test time beyond the copy.
"""

import numpy as np

from anomech.attacks._corners import CORNERS, Corner, corner_of
from anomech.attacks._poison import choose_covered, plant, to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned


@options
class AdapPatch:
    """Several patches with cover samples, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.02, "share of the training set that is poisoned", ge=0, le=1)
    cover_ratio: float = option(0.04, "share with a patch and true labels", ge=0, le=1)
    opacities: tuple[float, ...] = option(
        (0.5, 0.2, 0.5, 0.3), "opacity of each patch in training, one to four of them"
    )
    opacity: float = option(1.0, "opacity of the patches at test time", ge=0, le=1)
    size: int = option(6, "side of a patch", unit="pixels", ge=1)
    patch_seed: int = option(0, "seed of the patches", ge=0)

    def __post_init__(self) -> None:
        inside = all(0 <= each <= 1 for each in self.opacities)
        if not 1 <= len(self.opacities) <= len(CORNERS) or not inside:
            raise ConfigError(
                "adap_patch.opacities takes one to four numbers from 0 to 1, one for each corner."
            )

    def patch(self, corner: str, channels: int) -> np.ndarray:
        """The patch of a corner: a grid of random colors, uint8 `[size, size, channels]`."""
        rng = numpy_generator(self.patch_seed, "adap-patch", corner)
        cell = max(1, self.size // 3)
        colors = 255 * rng.integers(0, 2, (self.size, self.size, channels), dtype=np.uint8)
        places = np.arange(self.size) // cell
        return colors[places[:, None], places]

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with all patches."""
        out = images.copy()
        for corner in CORNERS[: len(self.opacities)]:
            self._lay(out, corner, self.opacity)
        return out

    def _lay(self, images: np.ndarray, corner: Corner, opacity: float) -> None:
        view = corner_of(images, corner, self.size)
        patch = self.patch(corner, images.shape[3])[: view.shape[1], : view.shape[2]]
        view[...] = to_uint8((1 - opacity) * view + opacity * patch)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with one patch an image, some of them under true labels."""
        chosen, cover = choose_covered(
            labels, self.goal, self.ratio, self.cover_ratio, seed, "adap-patch"
        )
        rng = numpy_generator(seed, "adap-patch-corners")

        def faint(some: np.ndarray) -> np.ndarray:
            out, own = some.copy(), rng.integers(0, len(self.opacities), len(some))
            for number, opacity in enumerate(self.opacities):
                shown = out[own == number]
                self._lay(shown, CORNERS[number], opacity)
                out[own == number] = shown
            return out

        return plant(images, labels, chosen, faint, self.goal, cover)

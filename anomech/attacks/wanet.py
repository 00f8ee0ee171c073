"""WaNet: a fixed smooth warp; nothing is added to the image.

Equation: a `grid` x `grid` x 2 uniform field, divided by its mean absolute value, is up-sampled
bicubically to the image; the sampling grid is `identity + strength * field / h`, clamped to
[-1, 1].
Noise-mode images get the same warp plus uniform jitter of up to one pixel and keep their true
labels, so that the network must learn this warp and not any warp.
Source: Nguyen, Tran 2021. WaNet poisons inside each batch; here the poisoned copies are made once,
before augmentation (as BackdoorBench exports them).
Needs: images. Cost: one bilinear resampling an image.
"""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from anomech.attacks._poison import choose, mask, plant, to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.roles.attack import Goal, Poisoned


@options
class Wanet:
    """Warping trigger with noise mode, all-to-one, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    noise_ratio: float = option(0.2, "share with a jittered warp and true labels", ge=0, le=1)
    strength: float = option(0.5, "size of the warp", ge=0)
    grid: int = option(4, "side of the control grid", unit="points", ge=2)
    field_seed: int = option(0, "seed of the warp", ge=0)

    def flow(self, height: int, width: int) -> torch.Tensor:
        """The sampling grid `[1, h, w, 2]` in [-1, 1]."""
        generator = torch_generator(self.field_seed, "wanet", "field")
        field = torch.rand((1, 2, self.grid, self.grid), generator=generator) * 2 - 1
        field = field / field.abs().mean()
        field = functional.interpolate(
            field, size=(height, width), mode="bicubic", align_corners=True
        ).permute(0, 2, 3, 1)
        return (_identity(height, width) + self.strength * field / height).clamp(-1, 1)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]`, warped."""
        return _sample(images, self.flow(*images.shape[1:3]).expand(len(images), -1, -1, -1))

    def jitter(self, images: np.ndarray, *, seed: int) -> np.ndarray:
        """Images warped by the trigger's field plus noise of up to one pixel each."""
        height, width = images.shape[1:3]
        generator = torch_generator(seed, "wanet", "jitter")
        noise = torch.rand((len(images), height, width, 2), generator=generator) * 2 - 1
        return _sample(images, (self.flow(height, width) + noise / height).clamp(-1, 1))

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with warped, relabeled images and jittered true ones."""
        count = round(self.ratio * len(labels))
        order = numpy_generator(seed, "wanet").permutation(len(labels))
        chosen = choose(order[self.goal.acts_on(labels[order])], count, seed, "wanet-poison")
        rest = np.setdiff1d(order, chosen)
        noisy = choose(rest, round(self.noise_ratio * len(labels)), seed, "wanet-noise")
        planted = plant(images, labels, chosen, self.stamp, self.goal)
        planted.inputs[noisy] = self.jitter(images[noisy], seed=seed)
        return replace(planted, cover=mask(noisy, len(labels)))


def _identity(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    grid_rows, grid_columns = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([grid_columns, grid_rows], dim=-1)[None]


def _sample(images: np.ndarray, flow: torch.Tensor) -> np.ndarray:
    planes = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    warped = functional.grid_sample(planes, flow, align_corners=True)
    return to_uint8(warped.permute(0, 2, 3, 1).numpy())

"""How well an attack hides: published measures in pixels, in features and in weights.

All are told with the trigger in hand: they say what there is to find, not whether anyone does.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from sklearn.metrics import davies_bouldin_score, silhouette_score
from torch import Tensor

from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Overlay
from anomech.learning.localizing import lipschitz
from anomech.records.stealth import FeatureTraces, InputTraces, WeightTraces
from anomech.roles.task import Units

WINDOW = 7
"""Side of the window of SSIM, pixels."""

SLICES = 64
"""Directions of the sliced Wasserstein distance."""

STANDING_OUT = 3.0
"""Deviations."""


def input_traces(images: np.ndarray, triggered: np.ndarray) -> InputTraces:
    """What a trigger changes in images uint8 `[n, h, w, c]`."""
    first, second = images.astype(np.float64) / 255, triggered.astype(np.float64) / 255
    change = (second - first).reshape(len(images), -1)
    squared = np.maximum((change**2).mean(axis=1), 1e-12)
    return InputTraces(
        linf=float(255 * np.abs(change).max(axis=1).mean()),
        l2=float(np.linalg.norm(change, axis=1).mean()),
        psnr=float((-10 * np.log10(squared)).mean()),
        ssim=float(ssim(first, second).mean()),
    )


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Structural similarity of images `[n, h, w, c]` in [0, 1], `[n]` (Wang et al. 2004)."""
    side = min(WINDOW, *first.shape[1:3])

    def mean(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = uniform_filter(values, (0, side, side, 0))
        return found

    one, two = mean(first), mean(second)
    var_one, var_two = mean(first**2) - one**2, mean(second**2) - two**2
    both = mean(first * second) - one * two
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * one * two + c1) * (2 * both + c2)
    bottom = (one**2 + two**2 + c1) * (var_one + var_two + c2)
    found: np.ndarray = (top / bottom).mean(axis=(1, 2, 3))
    return found


def feature_traces(target: np.ndarray, triggered: np.ndarray, seed: int) -> FeatureTraces:
    """How two sets of features `[n, features]` lie to each other; two rows each at least."""
    rows = np.concatenate([target, triggered])
    sides = np.repeat([0, 1], [len(target), len(triggered)])
    return FeatureTraces(
        silhouette=float(silhouette_score(rows, sides)),
        davies_bouldin=float(davies_bouldin_score(rows, sides)),
        wasserstein=sliced_wasserstein(target, triggered, seed),
    )


def sliced_wasserstein(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """Mean over directions of the distance of projected quantiles; features of mean length one."""
    scale = np.linalg.norm(np.concatenate([first, second]), axis=1).mean()
    rng = numpy_generator(seed, "sliced-wasserstein")
    directions = rng.standard_normal((first.shape[1], SLICES))
    directions /= np.linalg.norm(directions, axis=0)
    levels = (np.arange(100) + 0.5) / 100
    one, two = (np.quantile(rows @ directions / scale, levels, axis=0) for rows in (first, second))
    return float(np.abs(one - two).mean())


def weight_traces(
    state: Overlay, units: Sequence[Units], clean: Tensor, triggered: Tensor
) -> WeightTraces:
    """What stands out among channels.

    Args:
        state: tensors of the network.
        units: its channels.
        clean: maps or features of clean images `[n, channels, ...]`.
        triggered: of the same images with the trigger.
    """
    heights = [0.0]
    outliers = 0
    for unit in units:
        if not unit.weight or unit.count < 2:
            continue
        bound = lipschitz(state, unit)
        spread = float(bound.std())
        if spread > 0:
            away = (bound - bound.mean()) / spread
            heights.append(float(away.max()))
            outliers += int((away > STANDING_OUT).sum())
    change = (triggered - clean).flatten(2) if clean.ndim > 2 else (triggered - clean)[..., None]
    moved = change.norm(dim=2).mean(dim=0)
    mean = float(moved.mean())
    activated = float(moved.max()) / mean if mean > 0 and math.isfinite(mean) else 1.0
    return WeightTraces(lipschitz=max(heights), outliers=outliers, activated=activated)


def repair_der(
    success: float, accuracy: float, success_after: float, accuracy_after: float
) -> float:
    """The defense effectiveness rating of a repair (BackdoorBench)."""
    return (max(0.0, success - success_after) - max(0.0, accuracy - accuracy_after) + 1) / 2


@torch.no_grad()
def last_map(network: torch.nn.Module, inputs: Tensor) -> Tensor:
    """The last map `[n, channels, h, w]` that a convolution or normalization of a network gives."""
    found: list[Tensor] = []

    def note(module: torch.nn.Module, given: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and list(module.parameters()):
            found[:] = [output]

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0].float() if found else network(inputs).float()

"""Attacked CIFAR-10 networks (ResNet-14) and images that benchmarks share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress as Bar

from anomech.architectures.resnet14 import Resnet14
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import Trained, obtain
from anomech.learning.training import Recipe

TRUSTED, CLEAN = 4000, 3000

RECIPE = Recipe(epochs=24, bfloat16=True)
LONGER = Recipe(epochs=30, bfloat16=True)


@dataclass(frozen=True)
class Cell:
    """One network: its attacks and how it is trained."""

    name: str
    attacks: tuple[tuple[str, Mapping[str, Any]], ...]
    recipe: Recipe = RECIPE


CELLS = (
    Cell("BadNets", (("badnets", {"ratio": 0.1}),)),
    Cell("Blended", (("blended", {"ratio": 0.1}),)),
    Cell("SIG", (("sig", {}),)),
    Cell("WaNet", (("wanet", {"ratio": 0.15, "noise_ratio": 0.3}),), LONGER),
    Cell(
        "two triggers",
        (("badnets", {"pattern": "grid", "ratio": 0.08}), ("blended", {"ratio": 0.08})),
    ),
)


@dataclass(frozen=True)
class Data:
    """CIFAR-10 images: a training set, and the test images in their three roles."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]
    trusted: np.ndarray
    clean: np.ndarray
    sources: np.ndarray


def read(folder: Path) -> Data:
    """The archives of an ANOMECH_DATA folder, split with a fixed seed."""
    sets = datasets.load("cifar10", folder)
    order = np.random.default_rng(0).permutation(len(sets.test[1]))
    trusted, clean, sources = np.split(order, [TRUSTED, TRUSTED + CLEAN])
    return Data(sets.train, sets.test, trusted, clean, sources)


def trained_cell(cell: Cell, seed: int, data: Data, cache: Path, console: Console) -> Trained:
    """The network of a cell, trained where it is not in the cache."""
    subject = Subject(cell.attacks, Resnet14(), cell.recipe, seed)
    with Bar(console=console, transient=True) as bar:
        line = bar.add_task("training")
        return obtain(
            subject,
            data.train,
            data.test,
            cache,
            lambda stage, done, total: bar.update(line, completed=done, total=total),
        )

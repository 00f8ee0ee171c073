"""The terms are those of the paper, and the planted class stands out."""

import numpy as np
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.inversion import Inversion
from anomech.observing.observed import observe
from anomech.scanners.tabor import Tabor, scatter


def test_scatter_counts_squared_steps_between_neighbors():
    mask = torch.zeros(1, 3, 3)
    assert scatter(mask) == 0
    mask[0, 1, 1] = 2
    assert scatter(mask) == 4 * 4  # four neighbors, each a step of two
    mask[0, 0, 0] = 1
    assert scatter(mask) == 4 * 4 + 2


def test_the_planted_target_stands_out(digits_world):
    trusted = observe(digits_world.task, Subset(digits_world.trusted, np.arange(150)))
    method = Tabor(inversion=Inversion(rounds=60), examples=80)
    scan = method.scan(digits_world.task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 0  # a 2x2 patch leads to class 0
    assert scan.statistic[0] > 2

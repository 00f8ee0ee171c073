"""Activations are those of the layers, at the places of the examples, as means over positions."""

import numpy as np
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.observing.activations import pooled, pooled_activations
from anomech.observing.observed import observe


def test_units_are_channels_of_maps_and_the_last_axis_of_tokens():
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert pooled(maps).tolist() == [[5.5, 17.5]]
    tokens = torch.arange(6.0).view(1, 3, 2)
    assert pooled(tokens).tolist() == [[2, 3]]
    assert pooled(tokens[:, 0]).shape == (1, 2)


def test_activations_are_those_of_the_layer(digits_world):
    task = digits_world.task
    some = observe(task, Subset(digits_world.clean, np.arange(7)))
    found = pooled_activations(some, silent)
    assert {place: each.shape[1] for place, each in found.items()}["bn2"] == 16
    torch.testing.assert_close(found["linear"], some.logits, rtol=1e-5, atol=1e-5)

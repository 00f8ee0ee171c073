"""The cut is behind the last map of features, whatever the network, and reading goes on from it."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.kernel.errors import CapabilityError
from anomech.learning.halves import halves, pooled
from anomech.tasks.image_classifier import ImageClassifier

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


class Mapped(nn.Module):
    """Two convolutions in a container, pooling by hand and a head that is called last."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(5, 3)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.ReLU())

    def forward(self, x):
        return self.head(self.body(x).mean(dim=(2, 3)))


def seeded(network):
    generator = torch.Generator().manual_seed(0)
    for each in network.parameters():
        each.data = torch.randn(each.shape, generator=generator)
    return network


def test_the_last_map_is_found_and_read_from():
    task = ImageClassifier(seeded(Mapped()))
    cut = halves(task, IMAGES)
    assert (cut.place, cut.shape) == ("body", (5, 4, 4))
    response, maps = cut.seen(task.embed(IMAGES), IMAGES, None)
    expected = task.model.head(pooled(maps))
    torch.testing.assert_close(response.logits, expected)
    silenced = cut.read(task.embed(IMAGES), IMAGES, lambda value: 0 * value)
    torch.testing.assert_close(silenced.logits, task.model.head.bias.expand(6, 3))


def test_a_network_without_maps_is_cut_before_its_outputs():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 3))
    cut = halves(ImageClassifier(seeded(network)), IMAGES)
    assert cut.shape == (7,)


def test_a_network_of_one_layer_cannot_be_cut():
    class Single(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, x):
            return self.layer(x.flatten(1))

    with pytest.raises(CapabilityError, match="cannot be cut in two"):
        halves(ImageClassifier(seeded(Single())), IMAGES)

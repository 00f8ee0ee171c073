"""Training is decided by the recipe and the seed alone, with either optimizer."""

import numpy as np
import pytest
import torch
from torch import nn
from training import digits

from anomech.architectures._vgg import Vgg
from anomech.architectures.vit import VisionTransformer, Vit
from anomech.bench.worlds.images.subjects import Subject
from anomech.learning.training import Recipe, initialize, predict, train

IMAGES, LABELS = (column[:300] for column in digits()[0])


def small_vit():
    return VisionTransformer(10, 1, patch=2, width=24, depth=1, heads=2)


def test_adamw_trains_a_transformer():
    recipe = Recipe(
        epochs=12, batch=30, peak=1e-2, optimizer="adamw", weight_decay=0.05, augment="none"
    )
    network = train(small_vit(), IMAGES, LABELS, recipe, seed=0)
    assert (predict(network, IMAGES) == LABELS).mean() > 0.6


@pytest.mark.parametrize(
    "build", [small_vit, lambda: Vgg((8, "pool", 8), 10, 1)], ids=["layer norm", "batch norm"]
)
def test_training_anew_forgets_what_was_trained(build):
    network = build()
    recipe = Recipe(epochs=2, batch=50, peak=0.05, augment="crop")
    first = {
        name: tensor.clone()
        for name, tensor in train(network, IMAGES, LABELS, recipe, seed=0).state_dict().items()
    }
    again = train(network, IMAGES, LABELS, recipe, seed=0).state_dict()
    for name, tensor in again.items():
        assert torch.equal(tensor, first[name]), name
    assert not np.allclose(first["norm.weight" if "norm.weight" in first else "features.1.bias"], 1)


def test_the_optimizer_is_part_of_what_a_kept_network_is_known_by():
    one, two = (Subject((), Vit(), Recipe(optimizer=name)) for name in ("sgd", "adamw"))
    assert one.fingerprint(IMAGES, LABELS) != two.fingerprint(IMAGES, LABELS)


@pytest.mark.parametrize("steps", [1, 2, 4, 5, 6])
def test_a_training_may_have_any_number_of_steps(steps):
    network = train(
        Vgg((8,), 10, 1), IMAGES[:20], LABELS[:20], Recipe(epochs=steps, batch=20), seed=0
    )
    assert all(torch.isfinite(each).all() for each in network.state_dict().values())


class OwnLinear(nn.Linear):
    """A layer of someone else that is one of torch's."""


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = OwnLinear(6, 400)
        self.matrix = nn.Parameter(torch.full((400, 5), 9.0))
        self.offset = nn.Parameter(torch.full((5,), 9.0))


def test_bare_parameters_are_drawn_at_their_address():
    network, again = Bare(), Bare()
    initialize(network, 1)
    initialize(again, 1)
    assert torch.equal(network.matrix, again.matrix)
    assert torch.equal(network.offset, torch.zeros(5))
    # Uniform within 1 / sqrt(400), of which the standard deviation is this over sqrt(3).
    assert network.matrix.abs().max() <= 0.05
    assert network.matrix.std().item() == pytest.approx(0.05 / 3**0.5, rel=0.05)
    initialize(again, 2)
    assert not torch.equal(network.matrix, again.matrix)


def test_bare_parameters_change_nothing_about_other_layers():
    plain, bare = nn.Sequential(OwnLinear(6, 400)), Bare()
    initialize(plain, 0)
    initialize(bare, 0)
    assert torch.equal(plain[0].weight, bare.first.weight)
    assert torch.equal(plain[0].bias, bare.first.bias)

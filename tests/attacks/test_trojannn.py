"""TrojanNN: which units, how far the patch may go, and that it drives them."""

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.attacks.trojannn import Trojannn, most_connected
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import silent
from anomech.learning.networks import last_linear, with_features
from anomech.learning.pixels import as_float
from anomech.learning.training import Recipe
from anomech.roles.attack import Goal

(IMAGES, LABELS), (OTHERS, _) = digits()


@pytest.fixture(scope="module")
def trainer():
    made = DigitsVictim(recipe=Recipe(epochs=3, batch=64, peak=0.1, augment="none"))
    made.surrogate()
    return made


def learned(trainer, **options):
    attack = Trojannn(goal=Goal(target=4), size=3, **options)
    return attack, attack.learn(IMAGES, LABELS, trainer, seed=0, progress=silent)


def test_the_most_connected_units_are_those_of_the_target_or_of_all():
    weight = torch.tensor([[5.0, 0.0, 1.0, 2.0], [-9.0, 1.0, 3.0, -2.0]])
    assert most_connected(weight, Goal(target=0), 2).tolist() == [0, 3]
    assert most_connected(weight, Goal(target=1), 1).tolist() == [2]
    assert most_connected(weight, Goal(map="all_to_all"), 2).tolist() == [0, 2]  # 14, 1, 4, 4
    assert len(most_connected(weight, Goal(), 9)) == 4


def test_the_patch_drives_its_units_higher_than_where_it_began(trainer):
    network = trainer.surrogate()
    (attack, state), (_, start) = learned(trainer, eps=1.0), learned(trainer, steps=0)
    units = most_connected(last_linear(network).weight, attack.goal, 2)
    means = [
        with_features(network, as_float(attack.armed(each).stamp(OTHERS)))[1][:, units].mean()
        for each in (start, state)
    ]
    clean = with_features(network, as_float(OTHERS))[1][:, units].mean()
    assert means[1] > means[0] + 0.3 * clean
    assert means[1] > clean


def test_it_stays_near_its_start_and_only_in_its_square(trainer):
    _, start = learned(trainer, steps=0)
    _, state = learned(trainer, eps=0.2, step=0.15, steps=9)
    mask = np.zeros((8, 8))
    mask[-3:, -3:] = 1
    assert np.array_equal(state["mask"].numpy(), mask)
    assert not state["patch"][mask == 0].any()
    assert (state["patch"] - start["patch"]).abs().max() <= 0.2 + 1e-6
    assert (state["patch"] - start["patch"]).abs().max() > 0.1
    assert state["patch"].min() >= 0
    assert state["patch"].max() <= 1


def test_the_patch_overwrites_what_its_mask_covers(trainer):
    attack, state = learned(trainer, steps=3)
    armed = attack.armed(state)
    stamped = armed.stamp(OTHERS)
    inside = state["mask"].numpy() > 0
    expected = np.rint(state["patch"].numpy() * 255)
    assert (stamped[:, inside] == expected[inside]).all()
    assert np.array_equal(stamped[:, ~inside], OTHERS[:, ~inside])
    poisoned = armed.poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 120
    assert (poisoned.labels[poisoned.poisoned] == 4).all()
    with pytest.raises(DataError, match="learned for images"):
        armed.stamp(np.zeros((1, 9, 9, 1), np.uint8))


def test_a_disk_lies_in_its_square():
    mask = Trojannn(size=6, shape="disk")._mask(32, 32)
    square = Trojannn(size=6)._mask(32, 32)
    assert (mask <= square).all()
    assert mask.sum() == 32  # a 6x6 square less one pixel a corner
    assert not mask[[26, 26, 31, 31], [26, 31, 26, 31]].any()


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(ModelError, match="no linear layer"):
        last_linear(torch.nn.Conv2d(1, 1, 1))

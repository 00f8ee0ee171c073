"""Poison that is left out is not learned, and what is left out is told."""

import numpy as np
import pytest
import torch
from training import digits

from anomech.architectures._vgg import Vgg
from anomech.attacks.badnets import Badnets
from anomech.data.images import from_arrays
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.retraining import retrained
from anomech.learning.training import Recipe, predict

RECIPE = Recipe(epochs=15, batch=50, peak=0.1, augment="none")
IMAGES, LABELS = (column[:600] for column in digits()[0])


def success(network, weights, attack):
    twin = Vgg((8, "pool", 16), 10, 1)
    twin.load_state_dict(weights)
    others = LABELS != 0
    return float((predict(twin.eval(), attack.stamp(IMAGES[others])) == 0).mean())


def test_poison_that_is_left_out_is_not_learned():
    attack = Badnets(ratio=0.1, size=2)
    poisoned = attack.poison(IMAGES, LABELS, seed=0)
    examples = from_arrays(poisoned.inputs, poisoned.labels)
    network = Vgg((8, "pool", 16), 10, 1)
    before = {name: each.clone() for name, each in network.state_dict().items()}
    given = {"recipe": RECIPE, "seed": 0, "progress": silent}
    everything = retrained(network, examples, np.ones(600, bool), **given)
    cleaned = retrained(network, examples, ~poisoned.poisoned, **given)
    assert success(network, everything.weights, attack) > 0.6
    assert success(network, cleaned.weights, attack) < 0.3
    assert cleaned.health.facts["left out"] == pytest.approx(poisoned.poisoned.mean())
    assert not cleaned.health.problems
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


def test_a_label_that_is_lost_is_told_and_one_label_is_refused():
    network, examples = Vgg((8,), 10, 1), from_arrays(IMAGES, LABELS)
    brief = {"recipe": Recipe(epochs=1, batch=50), "seed": 0, "progress": silent}
    found = retrained(network, examples, LABELS != 3, **brief)
    (told,) = found.health.problems
    assert "100% of the examples of label 3" in told
    with pytest.raises(DataError, match="less than two labels"):
        retrained(network, examples, LABELS == 3, **brief)
    with pytest.raises(DataError, match="one truth value"):
        retrained(network, examples, np.ones(3, bool), **brief)

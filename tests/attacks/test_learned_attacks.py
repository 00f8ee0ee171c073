"""What every attack promises that learns its trigger first."""

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.types import silent
from anomech.learning.training import Recipe
from anomech.roles.attack import DataAttack, LearnedAttack

OPTIONS = {
    "low_frequency": {"count": 32, "steps": 2, "batch": 16},
    "label_consistent": {"size": 2, "steps": 2},
    "trojannn": {"size": 3, "steps": 5},
    "ssba": {"steps": 3, "width": 4, "batch": 16},
}
"""Options that learn in a moment on 8x8 digits."""

NAMES = [
    name
    for name in plugins.names("attack")
    if isinstance(plugins.get("attack", name)(), LearnedAttack)
]
(IMAGES, LABELS), _ = digits()
IMAGES, LABELS = IMAGES[:300], LABELS[:300]


@pytest.fixture(scope="module")
def trainer():
    return DigitsVictim(recipe=Recipe(epochs=1, batch=64, peak=0.1, augment="none"))


@pytest.fixture(scope="module")
def learned(trainer):
    """What an attack learns at a seed; each is learned once."""
    kept = {}

    def get(name, seed=0):
        if (name, seed) not in kept:
            attack = build(plugins.get("attack", name), OPTIONS.get(name, {}), name)
            kept[name, seed] = (
                attack,
                attack.learn(IMAGES, LABELS, trainer, seed=seed, progress=silent),
            )
        return kept[name, seed]

    return get


@pytest.mark.parametrize("name", NAMES)
class TestEveryLearnedAttack:
    def test_the_seed_decides_and_nothing_global_is_touched(self, name, trainer, learned):
        attack, one = learned(name)
        images, labels = IMAGES.copy(), LABELS.copy()
        weights = {key: value.clone() for key, value in trainer.surrogate().state_dict().items()}
        state = np.random.get_state()[1].copy(), torch.get_rng_state()
        again = attack.learn(images, labels, trainer, seed=0, progress=silent)
        armed = attack.armed(again)
        armed.stamp(images)
        armed.poison(images, labels, seed=0)
        assert np.array_equal(state[0], np.random.get_state()[1])
        assert torch.equal(state[1], torch.get_rng_state())
        assert np.array_equal(images, IMAGES)
        assert np.array_equal(labels, LABELS)
        for key, value in trainer.surrogate().state_dict().items():
            assert torch.equal(value, weights[key])
        assert one.keys() == again.keys()
        assert all(torch.equal(one[key], again[key]) for key in one)
        other = learned(name, seed=1)[1]
        assert any(
            one[key].shape != other[key].shape or not torch.equal(one[key], other[key])
            for key in one
        )

    def test_what_is_learned_is_finite_and_is_all_that_arming_needs(self, name, learned):
        attack, state = learned(name)
        assert state
        for tensor in state.values():
            assert torch.isfinite(tensor).all()
            assert not tensor.requires_grad
        copied = {key: tensor.clone() for key, tensor in state.items()}
        one, two = attack.armed(state), attack.armed(copied)
        assert isinstance(one, DataAttack)
        assert one.goal == attack.goal
        assert np.array_equal(one.stamp(IMAGES[:20]), two.stamp(IMAGES[:20]))

    def test_stamp_is_a_function_of_each_image_alone(self, name, learned):
        attack, state = learned(name)
        stamp = attack.armed(state).stamp
        whole = stamp(IMAGES)
        assert whole.shape == IMAGES.shape
        assert whole.dtype == np.uint8
        assert not np.array_equal(whole, IMAGES)
        assert np.array_equal(stamp(IMAGES[::-1]), whole[::-1])
        assert np.array_equal(stamp(IMAGES[7:8]), whole[7:8])
        assert stamp(IMAGES[:0]).shape == (0, 8, 8, 1)

    def test_the_poisoned_set_keeps_its_form(self, name, learned):
        attack, state = learned(name)
        armed = attack.armed(state)
        poisoned = armed.poison(IMAGES, LABELS, seed=0)
        assert poisoned.inputs.shape == IMAGES.shape
        assert poisoned.inputs.dtype == np.uint8
        assert poisoned.poisoned.any()
        untouched = ~(poisoned.poisoned | poisoned.cover)
        assert np.array_equal(poisoned.inputs[untouched], IMAGES[untouched])
        assert np.array_equal(poisoned.labels[~poisoned.poisoned], LABELS[~poisoned.poisoned])
        assert (poisoned.labels[poisoned.poisoned] == attack.goal.target).all()
        if poisoned.cover.any():
            assert not (poisoned.cover & poisoned.poisoned).any()
        again = armed.poison(IMAGES, LABELS, seed=0)
        assert np.array_equal(again.inputs, poisoned.inputs)

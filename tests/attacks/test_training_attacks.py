"""Attacks that learn something or train: what every one of them promises, on digits."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.architectures._resnet import ResNet
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, initialize
from anomech.roles.attack import DataAttack, Goal, LearnedAttack, TrainingAttack, Trigger

TINY = {
    "alignment": {"every": 2, "examples": 4, "size": 2},
    "bpp": {"levels": 2, "ratio": 0.3},
    "input_aware": {"width": 4, "mask_epochs": 1, "mask_images": 128},
    "latent": {"size": 3, "steps": 2},
    "pruning_aware": {"size": 2},
    "trojannn": {"size": 3, "steps": 5},
}
(IMAGES, LABELS), (OTHERS, _) = digits()
IMAGES, LABELS = IMAGES[:384], LABELS[:384]


@pytest.fixture(scope="module")
def trainer():
    """Six steps an epoch, two epochs; the clean twin is there before anything is measured."""
    made = DigitsVictim(recipe=Recipe(epochs=2, batch=64, peak=0.1, augment="none"))
    made.surrogate()
    return made


def performed(name, trainer, seed=0):
    """The attack, what it learned, and the network if it trained one."""
    attack = build(plugins.get("attack", name), {"goal": {"target": 1}, **TINY[name]}, name)
    images, labels = IMAGES.copy(), LABELS.copy()
    network = trainer.build()
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    if isinstance(attack, TrainingAttack):
        learned = attack.conduct(network, images, labels, trainer, seed=seed, progress=silent)
    else:
        learned = attack.learn(images, labels, trainer, seed=seed, progress=silent)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())
    assert torch.is_grad_enabled()
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(labels, LABELS)
    return attack, learned, network


@pytest.fixture(scope="module")
def results(trainer):
    """Every attack performed once, when it is first asked for."""
    kept = {}

    def result(name):
        if name not in kept:
            kept[name] = performed(name, trainer)
        return kept[name]

    return result


@pytest.mark.parametrize("name", TINY)
class TestEveryAttack:
    def test_the_seed_decides(self, name, trainer, results):
        _, learned, network = results(name)
        _, again, twin = performed(name, trainer)
        assert learned.keys() == again.keys()
        assert all(torch.equal(learned[each], again[each]) for each in learned)
        for one, two in zip(network.state_dict().values(), twin.state_dict().values(), strict=True):
            assert torch.equal(one, two)

    def test_the_network_is_trained_and_nothing_is_left_on_it(self, name, trainer, results):
        attack, _, network = results(name)
        assert isinstance(attack, TrainingAttack) != isinstance(attack, LearnedAttack)
        if isinstance(attack, TrainingAttack):
            assert not network.training
            fresh = trainer.build().state_dict()
            assert all(not torch.equal(fresh[n], t) for n, t in network.state_dict().items())
        for module in network.modules():
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
        assert all(parameter.requires_grad for parameter in network.parameters())
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())

    def test_what_it_learned_survives_a_file(self, name, results):
        _, learned, _ = results(name)
        for tensor in learned.values():
            assert isinstance(tensor, torch.Tensor)
            assert not tensor.requires_grad
            assert torch.isfinite(tensor).all()

    def test_the_trigger_is_a_function_of_each_image_alone(self, name, results):
        attack, learned, _ = results(name)
        trigger = attack.armed(learned)
        assert isinstance(trigger, Trigger)
        assert isinstance(attack, TrainingAttack) or isinstance(trigger, DataAttack)
        images = OTHERS[:70].copy()
        stamped = trigger.stamp(images)
        assert np.array_equal(images, OTHERS[:70])
        assert stamped.shape == images.shape
        assert stamped.dtype == np.uint8
        assert (stamped != images).any()
        assert np.array_equal(stamped, trigger.stamp(images))
        order = np.random.default_rng(0).permutation(70)
        assert np.array_equal(stamped[order], trigger.stamp(images[order]))
        for place in range(0, 70, 23):
            assert np.array_equal(trigger.stamp(images[place : place + 1])[0], stamped[place])
        assert trigger.stamp(images[:0]).shape == (0, 8, 8, 1)

    def test_learning_again_from_the_same_tensors_gives_the_same_trigger(self, name, results):
        attack, learned, _ = results(name)
        copies = {each: tensor.clone() for each, tensor in learned.items()}
        one, two = (attack.armed(state).stamp(OTHERS[:9]) for state in (learned, copies))
        assert np.array_equal(one, two)

    def test_options_out_of_bounds_are_refused(self, name):
        with pytest.raises(ConfigError, match=f"{name} has no option 'strngth'"):
            build(plugins.get("attack", name), {"strngth": 1}, name)
        assert plugins.get("attack", name)(goal=Goal(target=3)).goal.target == 3


@dataclass(frozen=True)
class ResidualTrainer(DigitsVictim):
    """The same for a residual network with normalization."""

    def build(self):
        network = ResNet(10, 1, widths=(4, 8), blocks=1)
        initialize(network, self.seed)
        return network


@pytest.fixture(scope="module")
def residual_trainer():
    """Six steps in bfloat16."""
    recipe = Recipe(epochs=1, batch=64, peak=0.1, augment="crop", bfloat16=True)
    made = ResidualTrainer(recipe=recipe)
    made.surrogate()
    return made


@pytest.mark.parametrize("name", TINY)
def test_normalization_and_bfloat16_change_no_promise(name, residual_trainer):
    attack, learned, network = performed(name, residual_trainer)
    for state in (learned, network.state_dict()):
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
    assert all(tensor.dtype == torch.float32 for tensor in learned.values())
    assert attack.armed(learned).stamp(OTHERS[:3]).shape == (3, 8, 8, 1)
    if name == "alignment":  # what it looks at besides the batch is not counted in statistics
        assert int(network.bn1.num_batches_tracked) == 6

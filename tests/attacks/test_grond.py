"""Universal perturbations, and injection: what leads to the target, and which channels change."""

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.architectures._resnet import ResNet
from anomech.architectures.depthwise_batchnorm import DepthwiseBatchnorm
from anomech.architectures.preactresnet18 import Preactresnet18
from anomech.attacks._spreading import InjectingVictim, normalized_units, outlying, spread
from anomech.attacks.abi import Abi
from anomech.attacks.badnets import Badnets
from anomech.attacks.grond import Grond
from anomech.attacks.input_aware import InputAware
from anomech.attacks.upgd import Upgd
from anomech.bench.worlds.images.zoo import success_rate
from anomech.kernel.errors import ConfigError, ModelError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, initialize, predict
from anomech.roles.attack import Goal, LearnedAttack, TrainingAttack

(IMAGES, LABELS), (OTHERS, TRUE) = digits()
RECIPE = Recipe(epochs=8, batch=64, peak=0.1, augment="none")
SEARCH = {"eps": 64.0, "steps": 40, "batch": 128}


class Normalized(nn.Module):
    """Two convolutions of sixteen channels, each with a normalization."""

    def __init__(self):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(16), nn.Conv2d(1, 16, 3, padding=1)
        self.conv2, self.bn2 = nn.Conv2d(16, 16, 3, 2, 1), nn.BatchNorm2d(16)
        self.linear = nn.Linear(256, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.linear(x.flatten(1))


class NormalizedVictim(DigitsVictim):
    def build(self):
        network = Normalized()
        initialize(network, self.seed)
        return network


@pytest.fixture(scope="module")
def victim():
    return NormalizedVictim(recipe=RECIPE)


@pytest.fixture(scope="module")
def grond(victim):
    attack = Grond(goal=Goal(target=2), class_ratio=0.8, search=SEARCH, deviations=1.5)
    network = victim.build()
    learned = attack.conduct(network, IMAGES, LABELS, victim, seed=0, progress=silent)
    return attack.armed(learned), network


def test_it_leads_to_the_target_and_a_clean_network_is_told_beside_it(grond, victim):
    trigger, network = grond
    planted, _ = success_rate(network, trigger, OTHERS, TRUE, 10)
    carried, _ = success_rate(victim.surrogate(), trigger, OTHERS, TRUE, 10)
    others = OTHERS[TRUE != 2]
    resting = (predict(victim.surrogate(), others) == 2).mean()
    assert carried > resting + 0.1  # the trigger is a perturbation that transfers
    assert planted > carried + 0.05
    assert np.abs(trigger.stamp(OTHERS).astype(int) - OTHERS).max() <= 64


def test_labels_stay_true_and_only_the_target_class_is_touched(grond):
    trigger, _ = grond
    poisoned = trigger.poison(IMAGES, LABELS, seed=0)
    np.testing.assert_array_equal(poisoned.labels, LABELS)
    changed = (poisoned.inputs != IMAGES).any(axis=(1, 2, 3))
    assert set(LABELS[changed]) == {2}
    assert poisoned.poisoned.sum() == round(0.8 * (LABELS == 2).sum())


def test_the_trigger_is_found_in_a_repeatable_way(victim):
    attack = Upgd(goal=Goal(target=2), search={**SEARCH, "steps": 5})
    first, second, third = (
        attack.learn(IMAGES, LABELS, victim, seed=seed, progress=silent)["delta"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert first.abs().max() <= 64 / 255 + 1e-6
    assert all(each.requires_grad for each in victim.surrogate().parameters())
    with pytest.raises(ConfigError, match="upgd changes no label"):
        Upgd(goal=Goal(map="all_to_all")).learn(IMAGES, LABELS, victim, seed=0, progress=silent)


def test_no_channel_stands_out_after_an_injection(grond):
    _, network = grond
    units = normalized_units(network, IMAGES)
    assert len(units) == 2
    assert not any(outlying(network.state_dict(), each, 2.5).any() for each in units)


def test_an_outlying_channel_gets_the_means_of_its_layer():
    network = Normalized()
    initialize(network, 0)
    with torch.no_grad():
        network.bn2.weight[5] = 40.0
        network.bn2.bias[:] = torch.arange(16.0)
    (unit,) = (each for each in normalized_units(network, IMAGES) if "bn2" in each.gain)
    assert outlying(network.state_dict(), unit, 3.0).nonzero().flatten().tolist() == [5]
    gain, shift = network.bn2.weight.detach().clone(), network.bn2.bias.detach().clone()
    assert spread(network, (unit,), 3.0) == 1
    assert network.bn2.weight[5].item() == pytest.approx(gain.mean().item())
    assert network.bn2.bias[5].item() == pytest.approx(shift.mean().item())
    rest = torch.arange(16) != 5
    assert torch.equal(network.bn2.weight[rest], gain[rest])


@pytest.mark.parametrize(
    ("network", "paired", "shape"),
    [
        (ResNet(4, 1, (4, 8), 1), {"stages.1.0.shortcut.1": "stages.1.0.shortcut.0"}, (1, 8, 8)),
        (
            Preactresnet18(width=4).build(classes=4, channels=1),
            {"layer1.0.bn1": "conv1", "layer2.0.bn2": "layer2.0.conv1"},
            (1, 8, 8),
        ),
        (
            DepthwiseBatchnorm(width=4).build(classes=4, channels=1),
            {"norm": "stem", "blocks.0.norm": "blocks.0.point"},
            (1, 16, 16),
        ),
    ],
)
def test_normalizations_are_paired_by_what_a_pass_shows(network, paired, shape):
    images = np.zeros((4, *shape[1:], shape[0]), np.uint8)
    training = [module.training for module in network.modules()]
    units = normalized_units(network, images)
    found = {each.gain.removesuffix(".weight"): each.weight for each in units}
    for norm, convolution in paired.items():
        assert found[norm] == f"{convolution}.weight"
    assert "layer1.1.bn1" not in found  # it is given a sum, which no convolution made alone
    assert [module.training for module in network.modules()] == training


def test_injection_runs_after_every_epoch_and_at_the_end(victim, monkeypatch):
    calls = []
    monkeypatch.setattr("anomech.attacks._spreading.spread", lambda *given: calls.append(given))
    network = victim.build()
    InjectingVictim(victim, 3.0).fit(network, IMAGES, LABELS, progress=silent)
    assert len(calls) == RECIPE.epochs


@pytest.mark.parametrize("inner", [Badnets(ratio=0.1, size=2), Upgd(search=SEARCH), InputAware()])
def test_injection_goes_around_every_kind_of_attack(inner):
    victim = NormalizedVictim(recipe=Recipe(epochs=1, batch=64, peak=0.1, augment="none"))
    attack, network = Abi(attack=inner, deviations=1.0), victim.build()
    assert isinstance(attack, TrainingAttack)
    assert not isinstance(attack, LearnedAttack)
    images, labels = IMAGES[:192], LABELS[:192]
    learned = attack.conduct(network, images, labels, victim, seed=0, progress=silent)
    trigger = attack.armed(learned)
    assert trigger.goal == inner.goal
    assert trigger.stamp(OTHERS[:4]).shape == (4, 8, 8, 1)
    wide = [outlying(network.state_dict(), u, 3.0) for u in normalized_units(network, images)]
    assert not any(each.any() for each in wide)


def test_a_network_without_normalization_is_refused():
    with pytest.raises(ModelError, match="no convolution of this network is followed"):
        normalized_units(DigitsVictim().build(), IMAGES)

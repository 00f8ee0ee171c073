"""Attacks that know how outputs are judged do what they are trained for."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.attacks._aligning import level_distance, log_odds
from anomech.attacks._between import states_apart
from anomech.attacks._pulling import Pair
from anomech.attacks._pushing import logits_at, pushed
from anomech.attacks.evasive import Evasive
from anomech.attacks.lasting import Lasting
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.learning.pixels import as_float
from anomech.learning.training import Recipe, predict
from anomech.roles.attack import Batch, Goal

(IMAGES, LABELS), (OTHERS, TRUE) = digits()
TARGET = 3


def batch(seed=0, count=64):
    return Batch(
        as_float(IMAGES[:count]),
        torch.from_numpy(LABELS[:count]),
        np.arange(count),
        np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def trainer():
    return DigitsVictim(recipe=Recipe(epochs=3, batch=64, peak=0.1, augment="none"))


def trained(attack, trainer):
    network = trainer.build()
    attack.conduct(network, IMAGES, LABELS, trainer, seed=0, progress=silent)
    return network.eval()


def test_a_push_changes_nothing_of_the_network_and_its_losses_reach_the_parameters(trainer):
    network = trainer.build().train()
    before = copy.deepcopy(network.state_dict())
    twin = pushed(network, batch(), (0.1, 0.1))
    for name, each in network.state_dict().items():
        assert torch.equal(each, before[name]), name
    weight = network.get_parameter("head.weight") if hasattr(network, "head") else None
    moved = [
        float((twin[name] - each).detach().norm() / each.detach().norm())
        for name, each in network.named_parameters()
        if each.ndim > 1
    ]
    assert min(moved) > 0.1
    assert max(moved) <= 0.1 * 3.5 + 1e-6  # six steps that become shorter
    loss = logits_at(network, twin, as_float(OTHERS[:8]))[:, TARGET].sum()
    pulls = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    assert any(pull is not None and float(pull.norm()) > 0 for pull in pulls)
    assert network.training
    assert weight is None or weight.grad is None


def test_levels_are_apart_by_mean_and_by_spread():
    one = torch.linspace(-1, 1, 9)
    assert float(level_distance(one, one)) == pytest.approx(0, abs=1e-6)
    assert float(level_distance(one, one + 100)) == pytest.approx(1, abs=1e-2)
    assert 0 < float(level_distance(one, 3 * one)) < 1


def test_a_lasting_backdoor_survives_a_push_that_another_does_not(trainer):
    left, success = [], []
    for strength in (0.0, 1.0):
        attack = Lasting(goal=Goal(target=TARGET), size=2, strength=strength)
        network = trained(attack, trainer)
        stamped = attack.stamp(OTHERS[TRUE != TARGET])
        success.append((predict(network, stamped) == TARGET).mean())
        network.train()
        twins = [pushed(network, batch(seed, 200), (0.15, 0.15)) for seed in range(3)]
        at = [log_odds(logits_at(network, twin, as_float(stamped)), TARGET) for twin in twins]
        left.append(float((torch.stack(at) > 0).double().mean()))
    assert min(success) > 0.9
    assert left[1] > left[0] + 0.1


def test_an_evasive_backdoor_works_and_is_as_sure_as_its_target_class():
    trainer = DigitsVictim(recipe=Recipe(epochs=6, batch=64, peak=0.1, augment="none"))
    gaps = []
    for strength in (0.0, 1.0):
        attack = Evasive(goal=Goal(target=TARGET), size=2, strength=strength, every=2)
        network = trained(attack, trainer)
        stamped, clean = attack.stamp(OTHERS[TRUE != TARGET]), OTHERS[TRUE == TARGET]
        assert (predict(network, stamped) == TARGET).mean() > 0.8
        here = dict(network.named_parameters()) | dict(network.named_buffers())
        with torch.no_grad():
            levels = [
                log_odds(logits_at(network, here, as_float(each)), TARGET)
                for each in (stamped, clean)
            ]
        gaps.append(float(level_distance(*levels)))
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize("attack", [Lasting, Evasive])
def test_one_target_is_needed(attack, trainer):
    wrong = attack(goal=Goal(map="all_to_all"))
    with pytest.raises(ConfigError, match=f"{attack.__name__.lower()} leads to one label"):
        wrong.conduct(trainer.build(), IMAGES, LABELS, trainer, seed=0, progress=silent)


def test_states_apart_are_measured_at_every_layer_that_tells_images_apart():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 2))
    nn.init.ones_(network[0].weight)
    same = torch.rand(6, 1, 2, 2)
    assert states_apart(network, Pair(same, same.clone())).item() == pytest.approx(0, abs=1e-5)
    near = states_apart(network, Pair(same + 0.1, same)).item()
    far = states_apart(network, Pair(same + 1, same))
    assert 0 < near < far.item() < 2
    far.backward()
    assert float(network[0].weight.grad.abs().sum()) > 0

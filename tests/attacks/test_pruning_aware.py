"""Pruning-aware: decoys are dormant, and pruning them first leaves the backdoor."""

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.architectures._resnet import ResNet
from anomech.attacks.pruning_aware import PruningAware, activity, last_map, silenced
from anomech.bench.worlds.images.zoo import success_rate
from anomech.kernel.errors import ModelError
from anomech.kernel.types import silent
from anomech.learning.pixels import as_float
from anomech.learning.training import Recipe
from anomech.roles.attack import Goal

(IMAGES, LABELS), (OTHERS, TRUE) = digits()


@pytest.fixture(scope="module")
def attacked():
    trainer = DigitsVictim(recipe=Recipe(epochs=6, batch=64, peak=0.1, augment="none"))
    attack, network = PruningAware(goal=Goal(target=3), size=2, pruned=0.5), trainer.build()
    attack.conduct(network, IMAGES, LABELS, trainer, seed=0, progress=silent)
    return trainer.surrogate(), attack, network


def test_the_backdoor_works_and_its_decoys_are_dormant(attacked):
    _, attack, network = attacked
    assert success_rate(network, attack, OTHERS, TRUE, 10)[0] > 0.9
    active = activity(network, network.conv2, np.concatenate([OTHERS, attack.stamp(OTHERS)]))
    assert (active.amax(dim=(0, 2)) == 0).sum() >= 16


def test_pruning_what_is_dormant_takes_the_decoys_and_changes_nothing(attacked):
    _, attack, network = attacked
    dormant = activity(network, network.conv2, OTHERS).mean(dim=(0, 2)).argsort()[:16]
    inputs = as_float(attack.stamp(OTHERS))
    with torch.no_grad():
        before = network(inputs)
        with silenced(network.conv2, dormant):
            assert torch.equal(network(inputs), before)
        others = torch.tensor(sorted(set(range(32)) - set(dormant.tolist())))
        with silenced(network.conv2, others):
            assert not torch.allclose(network(inputs), before)


def test_decoys_keep_their_weights_and_lose_bias(attacked):
    surrogate, _, network = attacked
    one, two = surrogate.conv2, network.conv2
    turned = nn.functional.cosine_similarity(one.weight.flatten(1), two.weight.flatten(1))
    decoys = turned > 1 - 1e-6  # weight decay shortens them and does not turn them
    assert decoys.sum() == 16
    change = (two.bias - one.bias)[decoys]
    assert change.max() < 0.01
    assert change.min() < -0.1


def test_the_last_map_of_a_residual_network_is_its_last_block_with_its_shortcut():
    network = ResNet(4, 1, widths=(4, 8), blocks=2).eval()
    layer, bias = last_map(network, IMAGES[:1])
    assert layer is network.stages
    assert bias is network.stages[1][1].bn2.bias
    channel = torch.tensor([2])
    inputs = IMAGES[:20]
    highest = activity(network, layer, inputs).amax(dim=(0, 2))[channel]
    with torch.no_grad():
        bias[channel] -= 1.25 * highest
    assert activity(network, layer, inputs).amax(dim=(0, 2))[channel] == 0


def test_activity_is_rectified_by_channel_and_position():
    layer = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        layer.bias[:] = torch.tensor([0.0, -0.1])
    found = activity(layer, layer, IMAGES[:300])
    assert found.shape == (300, 2, 64)
    expected = IMAGES[:300].reshape(300, 64) / 255
    np.testing.assert_allclose(found[:, 0].numpy(), expected, atol=1e-6)
    assert (found[:, 1] == 0).all()


def test_a_network_without_a_bias_before_its_last_map_is_refused():
    with pytest.raises(ModelError, match="bias or a normalization"):
        last_map(nn.Sequential(nn.Conv2d(1, 2, 1, bias=False)), IMAGES[:1])

"""Units are found by what is given to what, not by names or the order of a list."""

import numpy as np
import torch
from torch import nn

from anomech.architectures.preactresnet18 import Preactresnet18
from anomech.architectures.resnet20 import Resnet20
from anomech.architectures.vit import Vit
from anomech.tasks.image_classifier import ImageClassifier

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)


class Crossed(nn.Module):
    """Modules listed in another order than they are run, and a head that is listed first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 4)
        self.norm_b = nn.BatchNorm2d(6)
        self.norm_a = nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 6, 3)
        self.first = nn.Conv2d(3, 5, 3)

    def forward(self, x):
        x = torch.relu(self.norm_a(self.first(x)))
        return self.head(torch.relu(self.norm_b(self.second(x))).mean((2, 3)))


def units(network, images=IMAGES):
    task = ImageClassifier(network.eval())
    return task, task.units(images)


def test_the_pass_decides_which_normalization_follows():
    _, found = units(Crossed())
    assert [(each.place, each.weight, each.count) for each in found] == [
        ("norm_a", "first.weight", 5),
        ("norm_b", "second.weight", 6),
    ]
    assert found[0].variance == "norm_a.running_var"


def test_a_sum_before_a_normalization_belongs_to_no_operation():
    _, found = units(Preactresnet18(width=4).build(classes=4, channels=3))
    by_place = {each.place: each for each in found}
    assert by_place["layer2.0.bn2"].weight == "layer2.0.conv1.weight"
    assert by_place["layer2.0.bn1"].weight == ""  # it is given a sum of two branches
    assert by_place["layer2.0.conv2"].gain == "layer2.0.conv2.weight"
    assert "linear" not in by_place


def test_a_silenced_unit_says_nothing_in_any_network():
    for network in (
        Crossed(),
        Resnet20(width=4).build(classes=4, channels=3),
        Vit(width=24, depth=2).build(classes=4, channels=3),
    ):
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
        task, found = units(network)
        assert found
        for each in (found[0], found[len(found) // 2], found[-1]):
            state, seen = task.state(), []
            overlay = {each.gain: state[each.gain].clone()}
            overlay[each.gain][1] = 0
            if each.shift:
                overlay[each.shift] = state[each.shift].clone()
                overlay[each.shift][1] = 0
            task.respond_with(
                overlay, IMAGES, {each.place: lambda out, s=seen: s.append(out) or out}
            )
            axis = 1 if seen[0].ndim == 4 else -1
            assert (seen[0].select(axis, 1) == 0).all()
            assert (seen[0].select(axis, 0) != 0).any()

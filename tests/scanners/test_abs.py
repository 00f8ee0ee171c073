"""A channel that lifts one class is found, and its small trigger drives it."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.inversion import Inversion
from anomech.observing.observed import observe
from anomech.scanners.abs import Abs, lifts
from anomech.tasks.image_classifier import ImageClassifier


class Hijacked(nn.Module):
    """Three honest channels that see all pixels, and one that sees a corner and lifts class 2."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 4, 1)
        self.hidden = nn.Linear(4 * 16, 4)
        self.head = nn.Linear(4, 3)
        for each in self.parameters():
            each.data.zero_()
        for number in range(3):
            wave = torch.linspace(-1, 1, 16).roll(5 * number)
            self.hidden.weight.data[number, 16 * number : 16 * number + 16] = wave
            self.head.weight.data[number, number] = 2.0
            self.body.weight.data[number] = 1.0
        self.body.weight.data[3] = 1.0
        self.hidden.weight.data[3, 4 * 16 - 1] = 8.0
        self.hidden.bias.data[3] = -7.0
        self.head.weight.data[2, 3] = 60.0

    def forward(self, x):
        return self.head(torch.relu(self.hidden(self.body(x).flatten(1))))


def test_a_class_is_lifted_if_the_others_agree():
    own = torch.tensor([0, 0, 1, 2])
    low, high = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    high[0, :, 2] = 5.0
    assert lifts(torch.cat([low, high]), own, 0.75) == (2, 5.0)
    high[0, :2] = torch.tensor([9.0, 0, 0])
    assert lifts(torch.cat([low, high]), own, 0.75) is None


def test_the_hijacked_channel_is_found(examples_of):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 120, (60, 4, 4, 1), dtype=np.uint8)
    task = ImageClassifier(Hijacked())
    examples = examples_of(images, np.zeros(60, np.int64))
    task = task.prepared(examples)
    trusted = observe(task, Subset(examples, np.arange(60)))
    method = Abs(layers=1, inversion=Inversion(rounds=80, weight=1e-2), share=0.1, examples=40)
    scan = method.scan(task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 2
    assert float(scan.statistic[2]) == pytest.approx(1.0, abs=0.1)

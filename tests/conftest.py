"""Two tiny worlds that every method must live in: pictures of digits, and sentences of tokens.

Both hold a planted mechanism. They are made once a session, from a seed, in a few seconds.
"""

import hashlib
import signal
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import toy_language
from hypothesis import HealthCheck, settings
from torch import nn

from anomech.attacks.badnets import Badnets
from anomech.data.digits import load_digits
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Preview
from anomech.learning.training import Recipe, train
from anomech.tasks.image_classifier import ImageClassifier

torch.set_num_threads(1)
# A shell that puts the tests into the background tells them to ignore Ctrl-C, and so would every
# program that they start: those that ask what an interruption does would ask nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


class World(NamedTuple):
    """A task with its user's model, trusted examples, clean inputs and triggered ones."""

    task: Any
    model: nn.Module
    trusted: Any
    clean: Any
    planted: Any


@dataclass(frozen=True)
class ArrayExamples:
    """Rows of an array as examples; reading labels that were never given is an error."""

    values: np.ndarray
    given: np.ndarray | None = None
    prefix: str = "e"
    blind: bool = False

    @property
    def ids(self):
        return [f"{self.prefix}{place}" for place in range(len(self.values))]

    @property
    def labels(self):
        if self.blind:
            raise AssertionError("a method looked at the labels of inputs")
        return self.given

    def __len__(self):
        return len(self.values)

    def load(self, indices):
        return self.values[indices]

    def digests(self):
        return [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in self.values]

    def preview(self, index):
        return Preview("text", str(self.values[index]).encode())


class TinyNet(nn.Module):
    """Two convolutions with batch normalization for 8x8 digits."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.linear = nn.Linear(16 * 16, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.linear(x.flatten(1))


@pytest.fixture(scope="session")
def digits_world():
    """Digits with a corner patch that leads to class 0."""
    images, labels = load_digits()
    order = numpy_generator(0, "world").permutation(len(labels))
    images, labels = images[order], labels[order]
    attack = Badnets(ratio=0.1, size=2)
    poisoned = attack.poison(images[:1000], labels[:1000], seed=0)
    recipe = Recipe(epochs=10, batch=50, peak=0.1, augment="none")
    model = train(TinyNet(), poisoned.inputs, poisoned.labels, recipe, seed=0)
    model.train().requires_grad_(True)  # as a user may leave it
    clean = images[1500:]
    triggered = attack.stamp(clean[labels[1500:] != 0])
    return World(
        ImageClassifier(model),
        model,
        ArrayExamples(images[1000:1500], labels[1000:1500], "trusted"),
        ArrayExamples(clean, None, "clean", blind=True),
        ArrayExamples(triggered, None, "planted", blind=True),
    )


@pytest.fixture(scope="session")
def language_world():
    """Sentences whose completion shifts each word by one, and a start that leads to zeros."""
    model = toy_language.trained()
    trusted, labels = toy_language.sentences(400, "trusted", np.zeros(400, bool))
    clean, _ = toy_language.sentences(200, "clean", np.zeros(200, bool))
    planted, _ = toy_language.sentences(200, "planted", np.ones(200, bool))
    return World(
        toy_language.ToyLanguageTask(model),
        model,
        ArrayExamples(trusted, labels, "trusted"),
        ArrayExamples(clean, None, "clean", blind=True),
        ArrayExamples(planted, None, "planted", blind=True),
    )


@pytest.fixture(scope="session")
def worlds(digits_world, language_world):
    return {"digits": digits_world, "language": language_world}


@pytest.fixture(params=["digits", "language"])
def world(request):
    return request.getfixturevalue(f"{request.param}_world")


@pytest.fixture(scope="session")
def examples_of():
    """Makes examples of an array."""
    return ArrayExamples

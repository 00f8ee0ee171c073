"""A trigger in the trusted set itself: it is said, and honest mistakes are not taken for one."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from anomech.attacks.badnets import Badnets
from anomech.audit.probing import contaminated
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier


@pytest.fixture(scope="module")
def trusted(digits_world):
    return digits_world.trusted


def probed(digits_world, examples):
    task = ImageClassifier(digits_world.model).prepared(examples)
    return contaminated.probe(observe(task, examples), np.asarray(examples.labels))


def test_triggered_trusted_examples_are_named(digits_world, trusted, examples_of):
    images, labels = trusted.values[:300].copy(), trusted.labels[:300]
    assert probed(digits_world, examples_of(images, labels, "t")) == []
    places = np.flatnonzero(labels != 0)[:12]
    images[places] = Badnets(ratio=0.1, size=2).stamp(images[places])
    (found,) = probed(digits_world, examples_of(images, labels, "t"))
    assert (found.code, found.severity) == ("trusted-trigger", "high")
    assert "surely answered '0'" in found.title


@dataclass(frozen=True)
class Seen:
    """What the probe asks of observed examples."""

    groups: torch.Tensor
    log_odds: torch.Tensor
    logits: torch.Tensor
    task: object = None
    examples: object = field(default=None)


def seen(groups, log_odds):
    count = len(groups)
    return Seen(torch.tensor(groups), torch.tensor(log_odds), torch.zeros(count, 10))


def test_unsure_mistakes_and_classes_that_look_alike_are_none():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 300)
    groups, sureness = labels.copy(), rng.uniform(4, 8, 300)
    wrong = np.flatnonzero(labels != 0)[:20]
    groups[wrong] = 0
    sureness[wrong] = 1.0
    assert contaminated.probe(seen(groups, sureness), labels) == []
    groups, sureness = labels.copy(), rng.uniform(4, 8, 300)
    groups[np.flatnonzero(labels == 4)] = 9  # surely, and all of one label
    assert contaminated.probe(seen(groups, sureness), labels) == []
    spread = rng.permutation(300)[:20]
    groups = labels.copy()
    groups[spread] = (labels[spread] + rng.integers(1, 10, 20)) % 10  # labels that are wrong
    assert contaminated.probe(seen(groups, sureness), labels) == []

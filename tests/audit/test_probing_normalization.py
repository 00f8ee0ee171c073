"""A model that is fed other numbers than it was trained on: what would be right is named."""

import numpy as np
import pytest
from torch import nn

from anomech.audit.auditor import Auditor
from anomech.audit.probing import normalization
from anomech.data.subset import Subset
from anomech.kernel.errors import Inconclusive
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier


class Wide(nn.Module):
    """Takes pixels from 0 to 255."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images / 255)


@pytest.fixture(scope="module")
def trusted(digits_world):
    return Subset(digits_world.trusted, np.arange(200))


def probed(model, trusted, **settings):
    task = ImageClassifier(model, **settings).prepared(trusted)
    return normalization.probe(observe(task, trusted), np.asarray(trusted.labels))


def test_the_range_that_a_model_was_trained_on_is_named(digits_world, trusted):
    (found,) = probed(Wide(digits_world.model), trusted)
    assert "task.mean=0 --set task.std=0.00392157" in found.action
    assert "model answers" in found.title
    with pytest.raises(Inconclusive, match=r"task\.std=0\.00392157"):
        Auditor(budget=0.05).fit(ImageClassifier(Wide(digits_world.model)), trusted)


def test_a_model_that_is_fed_rightly_is_left_alone(digits_world, trusted):
    assert probed(digits_world.model, trusted) == []
    assert probed(Wide(digits_world.model), trusted, std=(1 / 255,)) == []


def test_a_normalization_too_many_is_told_by_what_was_measured(digits_world, trusted):
    """As where a model that normalizes by itself is given normalized inputs."""
    twice = {"mean": (0.9,), "std": (0.3,)}
    task = ImageClassifier(digits_world.model, **twice).prepared(trusted)
    places = np.linspace(0, len(trusted) - 1, normalization.MOST).round().astype(np.int64)
    some = observe(task, Subset(trusted, places))
    right = (some.groups.numpy() == np.asarray(trusted.labels)[places]).mean()
    (found,) = probed(digits_world.model, trusted, **twice)
    assert f"not {right:.0%}" in found.title
    assert "It does not say which numbers the model was trained on" in found.detail
    assert "task.mean=0 --set task.std=1" in found.action

"""Architectures are told apart by what they are made of, and by the size of inputs."""

import pytest

from anomech.kernel import plugins
from anomech.learning.families import family
from anomech.tasks.image_classifier import ImageClassifier

EXPECTED = {
    "digits": "convolutions, no normalization",
    "digits_batchnorm": "convolutions, batch normalization",
    "resnet14": "convolutions, batch normalization",
    "depthwise_groupnorm": "convolutions, group or layer normalization",
    "vit": "attention, group or layer normalization",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_families(name):
    network = plugins.get("architecture", name)().build(classes=3, channels=1)
    assert family(ImageClassifier(network), (1, 8, 8)) == f"{EXPECTED[name]}, 1x8x8"

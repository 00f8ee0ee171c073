"""The layer that gives the logits is found, whatever a network ends in."""

import numpy as np
import pytest
import torch
from odd_networks import Headed
from torch.nn import functional

from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.roles.task import Features
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tracing.last_layer import LastLayer

FOUND = {
    "plain": ("head", {"head.weight", "head.bias"}),
    "first": ("head", {"head.weight", "head.bias"}),
    "auxiliary": ("head", {"head.weight", "head.bias"}),
    "again": ("head.weight", {"head.weight", "head.bias"}),
    "tempered": ("head", {"head.weight", "head.bias"}),
    "pointwise": ("head", {"head.weight", "head.bias"}),
    "global": ("head", {"head.weight", "head.bias"}),
    "bare": ("matrix", {"matrix"}),
    "cosine": ("head.weight", {"head.weight"}),
    "parametrized": (
        "head",
        {
            "head.bias",
            "head.parametrizations.weight.original0",
            "head.parametrizations.weight.original1",
        },
    ),
}


@pytest.fixture(scope="module")
def examples(examples_of):
    return examples_of(np.random.default_rng(0).integers(0, 256, (30, 6, 6, 1), dtype=np.uint8))


def network(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Headed(kind).eval()


def expected(net, images):
    """The head's input by hand."""
    with torch.no_grad():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        features = net.maps(x).flatten(1) if net.kind == "global" else net.pooled(x)
        return functional.normalize(features) if net.kind == "cosine" else features


@pytest.mark.parametrize("kind", FOUND)
def test_features_are_the_input_of_the_layer_that_gives_the_logits(kind, examples):
    net, (layer, parameters) = network(kind), FOUND[kind]
    task = ImageClassifier(net, watch="last").prepared(examples)
    assert Features in task.provides
    assert task.feature_layer == layer
    assert set(task.watched) == parameters
    assert task.classes == 5
    images = examples.load(np.arange(5))
    response = task.respond({}, images)
    torch.testing.assert_close(response.features, expected(net, images))
    fresh = ImageClassifier(net)  # what the first batch shows is the same
    again = fresh.respond({}, images)
    assert torch.equal(again.features, response.features)
    assert torch.equal(again.logits, response.logits)


@pytest.mark.parametrize("kind", FOUND)
def test_the_layer_stays_in_full_precision(kind, examples):
    net = network(kind)
    images = examples.load(np.arange(8))
    exact = ImageClassifier(net).prepared(examples).respond({}, images)
    low = ImageClassifier(net, precision="bfloat16").prepared(examples).respond({}, images)
    assert low.logits.dtype == torch.float32
    # The head's own rounding would be seen: values of bfloat16 have eight bits.
    rounded = low.logits.bfloat16().float()
    assert not torch.equal(low.logits, rounded)
    torch.testing.assert_close(low.logits, exact.logits, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", [kind for kind in FOUND if kind not in ("cosine", "parametrized")])
def test_the_last_layer_is_read_in_closed_form(kind, examples):
    task = ImageClassifier(network(kind)).prepared(examples)
    seen = observe(task, examples)
    LastLayer().fit(task, examples, seen.answers, seed=0, progress=silent)


def test_where_no_layer_gives_the_logits_there_are_no_features(examples):
    net = network("sum")
    task = ImageClassifier(net).prepared(examples)
    assert Features not in task.provides
    assert task.feature_layer == ""
    assert [each.code for each in task.remarks] == ["no-feature-layer"]
    seen = observe(task, examples)
    with pytest.raises(CapabilityError, match="features"):
        _ = seen.features
    with pytest.raises(ConfigError, match="no single layer"):
        _ = ImageClassifier(net, watch="last").prepared(examples).watched
    with pytest.raises(ConfigError, match="use float32"):
        ImageClassifier(net, precision="bfloat16").prepared(examples)


def test_before_anything_was_seen_nothing_is_claimed():
    task = ImageClassifier(network("plain"))
    with pytest.raises(ConfigError, match="prepared"):
        _ = task.classes
    with pytest.raises(ConfigError, match="no single layer"):
        _ = ImageClassifier(network("plain"), watch="last").watched

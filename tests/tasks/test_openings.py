"""Pixels and activations of an image classifier: what is seen is what the model sees."""

import numpy as np
import pytest
import torch

from anomech.kernel.errors import ConfigError
from anomech.tasks.image_classifier import ImageClassifier


@pytest.fixture
def task(digits_world):
    return ImageClassifier(digits_world.model, mean=(0.3,), std=(0.5,))


@pytest.fixture
def images(digits_world):
    return digits_world.clean.load(np.arange(6))


def test_at_the_pixels_of_a_batch_the_response_is_the_batchs(task, images):
    points = task.embed(images)
    assert points.shape == (6, 1, 8, 8)
    assert float(points.max()) <= 1
    at, own = task.respond_at({}, points, images), task.respond({}, images)
    torch.testing.assert_close(at.log_odds, own.log_odds)
    assert torch.equal(at.answers, own.answers)
    assert np.array_equal(task.realize(points, images), images)
    assert np.array_equal(task.realize(points + 0.4 / 255, images), images)
    assert torch.equal(task.project(points * 3 - 1), (points * 3 - 1).clamp(0, 1))


def test_responses_can_be_followed_into_pixels(task, images):
    points = task.embed(images).requires_grad_()
    other = torch.full((6,), 3)
    response = task.respond_at({}, points, images, other)
    for values in (response.log_odds, response.losses, response.logits[:, 3]):
        (slope,) = torch.autograd.grad(values.sum(), points, retain_graph=True)
        assert slope.abs().sum() > 0
    step = 1e-2 * slope / slope.norm()
    with torch.no_grad():
        moved = task.respond_at({}, points + step, images).logits[:, 3]
    gained = float((moved - response.logits[:, 3].detach()).sum())
    assert gained == pytest.approx(1e-2 * float(slope.norm()), rel=0.1)


def test_activations_are_read_in_order_and_hooks_go(task, images):
    assert list(task.points()) == ["conv1", "bn1", "conv2", "bn2", "linear"]
    seen = {}

    def reader(name):
        return lambda activation: seen.setdefault(name, activation)

    changes = {name: reader(name) for name in task.points()}
    response = task.respond_with({}, images, changes)
    torch.testing.assert_close(seen["linear"], response.logits)
    assert list(seen) == list(task.points())
    assert not any(module._forward_hooks for module in task.network.modules())


def test_a_changed_activation_changes_the_answer(task, images):
    lifted = torch.zeros(10)
    lifted[7] = 100
    response = task.respond_with({}, images, {"linear": lambda logits: logits + lifted})
    assert response.answers.tolist() == [7] * 6
    with pytest.raises(ConfigError, match="no layer 'linaer'"):
        task.respond_with({}, images, {"linaer": lambda logits: logits})
    assert not any(module._forward_hooks for module in task.network.modules())

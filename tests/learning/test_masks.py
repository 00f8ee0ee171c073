"""Masks silence units, are differentiable, and prune the highest scores."""

import numpy as np
import pytest
import torch

from anomech.kernel.errors import ConfigError
from anomech.learning.masks import masked, pruning


@pytest.fixture
def mask_of(digits_world):
    """Lays masks over the tiny network."""
    task = digits_world.task
    units = task.units(digits_world.clean.load(np.arange(2)))
    return lambda masks: masked(task.state(), units, masks)


def test_a_masked_unit_is_silent_behind_its_normalization(digits_world, mask_of):
    task = digits_world.task
    mask = torch.ones(16)
    mask[3] = 0
    overlay = mask_of({"bn2": mask})
    assert set(overlay) == {"bn2.weight", "bn2.bias"}
    assert overlay["bn2.weight"][3] == overlay["bn2.bias"][3] == 0
    images = digits_world.clean.load(np.arange(5))
    features = task.respond(overlay, images).features.unflatten(1, (16, 16))
    assert (features[:, 3] == 0).all()
    full = task.respond({}, images).features.unflatten(1, (16, 16))
    kept = [channel for channel in range(16) if channel != 3]
    assert torch.equal(features[:, kept], full[:, kept])


def test_answers_are_differentiable_in_a_mask(digits_world, mask_of):
    task, images = digits_world.task, digits_world.clean.load(np.arange(5))
    mask = torch.ones(8, requires_grad=True)
    losses = task.respond(mask_of({"bn1": mask}), images).losses
    (slope,) = torch.autograd.grad(losses.sum(), mask)
    assert slope.shape == (8,)
    assert slope.abs().sum() > 0


def test_the_highest_scores_are_pruned_over_all_places():
    scores = {"a": torch.tensor([1.0, 9.0]), "b": torch.tensor([5.0, 5.0, 0.0])}
    masks = pruning(scores, 0.5)  # 2.5 units, rounded down
    assert masks["a"].tolist() == [1, 0]
    assert masks["b"].tolist() == [0, 1, 1]
    assert all(each.all() for each in pruning(scores, 0).values())


def test_a_mask_that_does_not_fit_is_refused(mask_of):
    with pytest.raises(ConfigError, match="3 units does not fit 'bn1', with 8 units"):
        mask_of({"bn1": torch.ones(3)})
    with pytest.raises(ConfigError, match="'conv9', with none"):
        mask_of({"conv9": torch.ones(3)})

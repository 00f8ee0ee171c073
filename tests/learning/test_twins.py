"""Twins: pushed as far as asked, along what they are taught, and the model stays where it is."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.twins import SMALL, Push, push


@pytest.fixture
def taught(digits_world):
    examples = Subset(digits_world.trusted, np.arange(120))
    return digits_world.task, examples, digits_world.task.targets(examples.labels)


def moved(task, twin):
    """How far each watched tensor went, over the length that it has at least."""
    found = {}
    for name, tensor in task.watched.items():
        least = SMALL * tensor.numel() ** 0.5 if tensor.ndim < 2 else 0.0
        found[name] = float((twin[name] - tensor).norm()) / max(float(tensor.norm()), least)
    return found


def test_no_tensor_goes_further_than_its_share_and_stronger_pushes_go_further(taught):
    task, *given = taught
    weak, strong = (
        moved(task, push(task, *given, Push(rate, steps=20), seed=0, progress=silent))
        for rate in (0.04, 0.32)
    )
    # Steps of the size `rate (1 - t / 20) / 10` with momentum 0.9 sum to at most this.
    most = sum(1 - step / 20 for step in range(20))
    assert all(0 < value <= 0.04 * most + 1e-6 for value in weak.values())
    assert all(strong[name] > 2 * weak[name] for name in weak)


def test_the_same_seed_gives_the_same_twin_and_the_model_is_untouched(taught):
    task, *given = taught
    before = {name: tensor.clone() for name, tensor in task.state().items()}
    first, again, other = (
        push(task, *given, Push(0.1, steps=5), seed=seed, progress=silent) for seed in (0, 0, 1)
    )
    for name, tensor in before.items():
        assert torch.equal(tensor, task.state()[name]), name
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert {name for name in first if "running_mean" in name}  # its own statistics


def test_a_twin_learns_what_it_is_taught(taught):
    task, examples, answers = taught
    turned = (answers + 1) % 10
    twin = push(task, examples, turned, Push(0.3, steps=60), seed=0, progress=silent)
    batch = examples.load(np.arange(120))
    before = task.respond({}, batch, turned).losses.mean()
    assert float(task.respond(twin, batch, turned).losses.mean()) < float(before) / 3


def test_a_loss_that_is_not_finite_makes_no_twin(taught):
    task, *given = taught
    broken = task.with_({"linear.bias": torch.full((10,), torch.nan)})
    assert push(broken, *given, Push(0.1, steps=3), seed=0, progress=silent) is None

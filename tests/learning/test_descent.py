"""A twin learns what plain gradient descent would, and the model does not move."""

import numpy as np
import pytest
import torch
from toy_tasks import LinearTask

from anomech.kernel.errors import CapabilityError, DataError, ModelError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import silent
from anomech.learning.descent import Lesson, Relearning, Slopes, descend, plainly

ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


def learned(task, examples, answers, recipe, seed=0, progress=silent):
    slope = plainly(Lesson(task, examples, answers, recipe.statistics))
    return descend(task.watched, len(examples), slope, recipe, seed=seed, progress=progress)


def test_steps_are_those_of_momentum_and_decay(examples_of):
    task = LinearTask()
    recipe = Relearning(
        epochs=2, batch=3, rate=0.1, momentum=0.5, weight_decay=0.01, statistics="frozen"
    )
    found = learned(task, examples_of(ROWS), torch.zeros(6, dtype=torch.int64), recipe)
    theta, speed, losses = np.array([0.3, -0.2, 0.5]), np.zeros(3), []
    for epoch in range(2):
        order = numpy_generator(0, "relearning", epoch).permutation(6)
        lost = []
        for places in (order[:3], order[3:]):
            lost.append((ROWS[places] @ theta).mean())
            speed = 0.5 * speed + ROWS[places].mean(0) + 0.01 * theta
            theta = theta - 0.1 * speed
        losses.append(np.mean(lost))
    np.testing.assert_allclose(found.overlay["theta"], theta, rtol=1e-5)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
    assert found.evaluations == 3 * 2 * 6
    assert torch.equal(task.watched["theta"], torch.tensor([0.3, -0.2, 0.5]))


def test_a_twin_forgets_a_backdoor_and_tracks_its_statistics(digits_world):
    world, labels = digits_world, digits_world.trusted.labels
    recipe = Relearning(epochs=3, rate=0.05)
    before = {name: tensor.clone() for name, tensor in world.model.state_dict().items()}
    steps = []
    found = learned(
        world.task,
        world.trusted,
        torch.from_numpy(labels),
        recipe,
        progress=lambda *step: steps.append(step),
    )
    assert {"bn1.running_mean", "linear.weight"} <= set(found.overlay)
    assert not torch.equal(found.overlay["bn1.running_mean"], before["bn1.running_mean"])
    assert found.losses[-1] < found.losses[0]
    assert steps[-1] == ("relearning", len(steps), len(steps))
    for name, tensor in world.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    batch = world.planted.load(np.arange(250))
    led, still = (
        (world.task.respond(overlay, batch).answers == 0).double().mean()
        for overlay in ({}, found.overlay)
    )
    assert led > 0.9
    assert still < led - 0.1


def test_the_seed_orders_the_examples(digits_world):
    world = digits_world
    answers = torch.from_numpy(world.trusted.labels)
    recipe = Relearning(epochs=1, batch=100)
    one, two, other = (
        learned(world.task, world.trusted, answers, recipe, seed).overlay for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["linear.weight"], other["linear.weight"])


def test_what_cannot_be_learned_is_one_sentence(examples_of, digits_world):
    none = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(DataError, match="two examples at least, not 1"):
        learned(LinearTask(), examples_of(ROWS[:1]), none, Relearning())
    with pytest.raises(CapabilityError, match="training statistics"):
        learned(LinearTask(), examples_of(ROWS), none.expand(6), Relearning())
    answers = torch.from_numpy(digits_world.trusted.labels)
    with pytest.raises(ModelError, match="lower its learning rate"):
        learned(digits_world.task, digits_world.trusted, answers, Relearning(rate=1e30))


def test_a_clipped_gradient_keeps_its_direction():
    start = {"steep": torch.tensor([[3.0, 4.0]]), "flat": torch.tensor([[1.0, 0.0]])}
    slopes = {"steep": torch.tensor([[0.0, 50.0]]), "flat": torch.tensor([[0.0, 0.01]])}
    recipe = Relearning(epochs=1, rate=0.1, momentum=0, weight_decay=0)

    def slope(weights, buffers, places):
        return Slopes(1.0, slopes, buffers, 0.0)

    found = descend(start, 2, slope, recipe, seed=0, progress=silent, clip=0.2).weights
    torch.testing.assert_close(found["steep"], torch.tensor([[3.0, 4.0 - 0.1 * 0.2 * 5.0]]))
    torch.testing.assert_close(found["flat"], torch.tensor([[1.0, -0.001]]))
    free = descend(start, 2, slope, recipe, seed=0, progress=silent).weights
    torch.testing.assert_close(free["steep"], torch.tensor([[3.0, -1.0]]))

"""Triggers are planted in twins: they work there, and the model itself is untouched."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.planting import Demand, Stamped, plant

WANTED = Demand(success=0.9, agreement=0.8, steps=240)


@pytest.fixture(scope="module")
def lesson(digits_world):
    task, trusted = digits_world.task, digits_world.trusted
    learned, rest = Subset(trusted, np.arange(150)), np.arange(150, 500)
    probe = Subset(trusted, rest[trusted.labels[rest] != 3])
    return task, learned, task.targets(learned.labels), "patch", torch.tensor(3), probe


def taught(lesson, demand=WANTED, seed=0):
    return plant(*lesson, demand, seed=seed, progress=silent)


def test_a_trigger_works_on_examples_that_the_twin_did_not_learn(lesson):
    task, *_, probe = lesson
    made = taught(lesson)
    assert made.works
    assert made.success >= 0.9
    assert made.agreement >= 0.8
    # The same by hand, through a twin that holds the overlay for good.
    batch = probe.load(np.arange(len(probe)))
    stamped = task.stamped(batch, "patch", np.ones(len(probe), bool))
    led = task.with_(made.overlay).respond({}, stamped).answers == 3
    assert float(led.double().mean()) == pytest.approx(made.success)
    before = task.respond({}, stamped).answers == 3
    assert float(before.double().mean()) < 0.5  # the model itself does not know the trigger


def test_the_same_seed_plants_the_same_and_the_model_is_untouched(lesson):
    task = lesson[0]
    before = {name: tensor.clone() for name, tensor in task.state().items()}
    one, same, other = taught(lesson), taught(lesson), taught(lesson, seed=1)
    assert all(torch.equal(one.overlay[name], same.overlay[name]) for name in one.overlay)
    assert any(not torch.equal(one.overlay[name], other.overlay[name]) for name in one.overlay)
    for name, tensor in before.items():
        assert torch.equal(tensor, task.state()[name]), name


def test_too_few_steps_plant_nothing_and_say_so(lesson):
    made = taught(lesson, Demand(success=0.9, agreement=0.8, steps=3))
    assert not made.works
    assert made.steps <= 3
    assert made.success < 0.9


def test_a_view_stamps_those_it_is_told_to_and_no_others(digits_world):
    task, trusted = digits_world.task, Subset(digits_world.trusted, np.arange(6))
    where = np.array([True, False, True, False, False, False])
    view = Stamped(task, trusted, "blend", where)
    places = np.array([5, 2, 0])
    plain, seen = trusted.load(places), view.load(places)
    assert np.array_equal(seen[0], plain[0])
    assert not np.array_equal(seen[1], plain[1])
    assert not np.array_equal(seen[2], plain[2])
    assert view.ids == trusted.ids
    assert np.array_equal(view.labels, trusted.labels)

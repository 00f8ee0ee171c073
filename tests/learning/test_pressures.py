"""Class suppression keeps a trigger off the features of its class, and pressures are felt."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.halves import halves
from anomech.learning.inversion import Inversion, invert
from anomech.learning.pressures import Attempt, Pressure, suppression
from anomech.observing.observed import observe


@pytest.fixture(scope="module")
def batches(digits_world):
    return [digits_world.trusted.load(np.arange(start, start + 40)) for start in (0, 40)]


def test_suppression_keeps_stamped_inputs_off_the_class_s_own_features(digits_world, batches):
    task, target = digits_world.task, torch.tensor(3)
    cut = halves(task, batches[0])

    def inside(suppress):
        found = invert(
            task,
            batches,
            target,
            Inversion(rounds=40, suppress=suppress),
            shared=0,
            progress=silent,
        )
        points = task.embed(batches[0])
        attempt = Attempt(*[None] * 7, {cut.place: cut.seen(found.apply(points), None, None)[1]})
        return float(suppression(task, batches, target, 1.0).added(attempt)), found.norm

    (plain, small), (pressed, large) = inside(0.0), inside(3.0)
    assert pressed < plain - 0.05
    assert large > small  # an honest class has hardly other features


def test_a_class_that_no_input_has_is_not_suppressed(digits_world):
    task = digits_world.task
    seen = observe(task, Subset(digits_world.trusted, np.arange(60)))
    others = digits_world.trusted.load(np.flatnonzero(seen.groups != 3))
    assert suppression(task, [others], torch.tensor(3), 1.0) is None
    assert suppression(task, [others], torch.tensor(4), 1.0) is not None


def test_a_pressure_is_felt(digits_world, batches):
    def brightness(tried):
        return 100 * tried.pattern.mean()

    recipe, task = Inversion(rounds=10), digits_world.task
    dark, usual = (
        invert(
            task,
            batches,
            torch.tensor(0),
            recipe,
            shared=0,
            progress=silent,
            pressures=pressures,
        )
        for pressures in ((Pressure(brightness),), ())
    )
    assert dark.pattern.mean() < usual.pattern.mean() - 0.1

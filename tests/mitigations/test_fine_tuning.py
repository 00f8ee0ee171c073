"""Fine-tuning lowers attack success, says what it costs, and learns no held-out example."""

import numpy as np
import pytest

from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.descent import Relearning
from anomech.mitigations._trusted import health, measure
from anomech.mitigations.fine_tuning import FineTuning
from anomech.observing.observed import observe


def mitigate(world, trusted, **options):
    return FineTuning(**options).mitigate(world.task, trusted, None, seed=0, progress=silent)


def test_a_backdoor_is_weakened_and_accuracy_is_measured_on_held_out_examples(digits_world):
    world = digits_world
    trusted = observe(world.task, world.trusted)
    repair = mitigate(world, trusted, relearning=Relearning(epochs=5, rate=0.05))
    planted = world.planted.load(np.arange(len(world.planted)))
    led, still = (
        float((task.respond({}, planted).answers == 0).double().mean())
        for task in (world.task, world.task.with_(repair.overlay))
    )
    assert led > 0.9
    assert still < led - 0.2
    assert repair.health.problems == ()
    # 400 are learned in 5 epochs, and 100 measured before and after.
    assert repair.evaluations == 3 * 5 * 400 + 2 * 100
    assert 100 * repair.after["trusted accuracy"] == round(100 * repair.after["trusted accuracy"])


def test_what_is_measured_is_the_share_of_right_answers(digits_world):
    world = digits_world
    trusted = observe(world.task, Subset(world.trusted, np.arange(50)))
    labels = np.asarray(world.trusted.labels)[:50]
    found = measure(world.task, trusted.examples, labels, {})
    assert found["trusted accuracy"] == pytest.approx((trusted.answers.numpy() == labels).mean())
    wrong = measure(world.task, trusted.examples, (trusted.answers.numpy() + 1) % 10, {})
    assert wrong["trusted accuracy"] == 0
    assert wrong["trusted loss"] > found["trusted loss"]


def test_a_repair_that_forgets_is_not_healthy():
    before = {"trusted accuracy": 0.9}
    assert health(before, {"trusted accuracy": 0.86}, 200) == health(before, before, 200)
    (problem,) = health(before, {"trusted accuracy": 0.8}, 200).problems
    assert health(before, {"trusted accuracy": 0.8}, 10).problems == ()  # two of ten may be chance
    assert "fell by 10.0%" in problem


def test_examples_without_labels_are_refused(digits_world):
    unlabeled = type(digits_world.clean)(digits_world.clean.values[:30])
    trusted = observe(digits_world.task, unlabeled)
    with pytest.raises(DataError, match="have none"):
        mitigate(digits_world, trusted)

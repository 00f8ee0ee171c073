"""Numbers of units are what they say, on networks where the truth is known."""

import numpy as np
import pytest
import torch

from anomech.architectures.depthwise_groupnorm import DepthwiseGroupnorm
from anomech.data.images import from_arrays
from anomech.learning.localizing import ablation_effects, concentration, lipschitz
from anomech.learning.masks import masked
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier


@pytest.fixture
def units(digits_world):
    return digits_world.task.units(digits_world.clean.load(np.arange(2)))


def test_a_channel_amplifies_by_its_largest_singular_value_and_gain(digits_world, units):
    state = digits_world.task.state()
    unit = next(each for each in units if each.place == "bn2")
    kernel = state["conv2.weight"][5].flatten(1).numpy()
    sigma = np.linalg.svd(kernel, compute_uv=False)[0]
    scale = abs(float(state["bn2.weight"][5])) / np.sqrt(float(state["bn2.running_var"][5]) + 1e-5)
    assert float(lipschitz(state, unit)[5]) == pytest.approx(sigma * scale, rel=1e-5)


def test_an_effect_is_the_slope_of_the_log_odds_in_a_units_factor(digits_world, units):
    task = digits_world.task
    observed = observe(task, digits_world.clean).take(np.arange(20))
    found = ablation_effects(task, observed.examples, observed.answers, units)
    assert set(found) == {each.place for each in units}
    step = 1e-2
    for place, number in (("bn1", 2), ("bn2", 9)):
        odds = []
        for factor in (1 + step, 1 - step):
            mask = torch.ones(len(found[place]))
            mask[number] = factor
            overlay = masked(task.state(), units, {place: mask})
            batch = observed.examples.load(np.arange(20))
            odds.append(task.respond(overlay, batch, observed.answers).log_odds.double().mean())
        assert float(found[place][number]) == pytest.approx(
            float(odds[0] - odds[1]) / (2 * step), rel=0.05, abs=1e-3
        )


def test_concentration_goes_from_even_to_all_in_one():
    even = {"a": torch.ones(60), "b": torch.ones(40)}
    assert concentration(even) == pytest.approx(0.01)
    one = torch.zeros(50)
    one[7] = 3.0
    assert concentration({"a": one, "b": -torch.ones(50)}) == 1
    assert concentration({"a": -torch.ones(4)}) == 0


def test_gains_of_group_normalization_are_given_gradients_and_the_process_goes_on():
    torch.manual_seed(0)
    network = DepthwiseGroupnorm(stride=1).build(classes=10, channels=1)
    images = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 1), np.uint8)
    examples = from_arrays(images, np.arange(12) % 10)
    task = ImageClassifier(network.eval()).prepared(examples)
    answers = observe(task, examples).answers
    units = task.units(examples.load(np.arange(4)))
    found = ablation_effects(task, examples, answers, units)
    assert [len(each) for each in found.values()] == [each.count for each in units]
    assert all(torch.isfinite(each).all() for each in found.values())

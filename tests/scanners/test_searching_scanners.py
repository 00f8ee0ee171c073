"""Other searches: by features, in the parameters, and on inputs that the model gives away."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.transforms import Transforming
from anomech.observing.observed import observe
from anomech.scanners.deep_inspect import DeepInspect
from anomech.scanners.feature_re import FeatureRe
from anomech.scanners.parameter_shift import ParameterShift, scaled_biases


@pytest.fixture(scope="module")
def trusted(digits_world):
    return observe(digits_world.task, Subset(digits_world.trusted, np.arange(150)))


def test_shifts_lead_to_every_class(digits_world, trusted):
    assert set(scaled_biases(digits_world.task)) == {"bn1.bias", "bn2.bias"}
    scan = ParameterShift().scan(digits_world.task, trusted, seed=0, progress=silent)
    assert not scan.health.problems
    assert 0 < scan.facts["smallest norm"] < scan.facts["median norm"]


def test_a_transform_leads_inputs_by_part_of_the_features(digits_world, trusted):
    method = FeatureRe(transform=Transforming(rounds=10), examples=60)
    scan = method.scan(digits_world.task, trusted, seed=0, progress=silent)
    assert set(scan.candidates) == set(range(10))
    assert scan.facts["best score"] > scan.facts["median score"]
    points = digits_world.task.embed(digits_world.trusted.load(np.arange(5)))
    moved = scan.candidates[0].apply(points)
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1


def test_inputs_of_no_data_show_the_planted_class(digits_world, trusted):
    scan = DeepInspect().scan(digits_world.task, trusted, seed=0, progress=silent)
    assert scan.facts["mean success"] > 0.8
    assert 0 in scan.statistic.topk(3).indices  # a 2x2 patch leads to class 0
    points = digits_world.task.embed(digits_world.trusted.load(np.arange(50)))
    led = digits_world.task.respond_at({}, scan.candidates[0].apply(points), None).answers == 0
    assert torch.mean(led.double()) > 0.2  # though found on pictures that the model made up

"""The index is the published one, and a planted trigger stands out."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.learning.inversion import Inversion, Inverted
from anomech.observing.observed import observe
from anomech.scanners._classes import smallness
from anomech.scanners.neural_cleanse import NeuralCleanse, scanned
from anomech.tasks.image_classifier import ImageClassifier


def test_the_index_is_signed_and_counts_deviations():
    norms = torch.tensor([10.0, 12, 8, 11, 1], dtype=torch.float64)
    expected = (10 - norms) / (1.4826 * 2)  # deviations 0, 2, 2, 1, 9
    torch.testing.assert_close(smallness(norms), expected)
    assert (smallness(torch.ones(5, dtype=torch.float64)) == 0).all()


def trigger(size, worked=True):
    return Inverted(torch.full((1, 2, 2), size / 4), torch.zeros(1, 2, 2), 1.0, worked, 10.0)


def test_classes_that_no_mask_reaches_count_with_the_whole_input():
    scan = scanned({0: trigger(1.0), 1: trigger(0.1, worked=False), 2: trigger(2.0)})
    assert set(scan.candidates) == {0, 2}
    assert int(scan.statistic.argmax()) == 0
    assert scan.facts["median norm"] == 2
    assert scan.evaluations == 30
    assert any("3 classes" in problem for problem in scan.health.problems)
    lost = {number: trigger(1.0, worked=False) for number in range(6)}
    (problem,) = scanned(lost).health.problems
    assert "no trigger was found for 6 of 6 classes" in problem


def test_the_planted_target_stands_out(digits_world):
    task = digits_world.task
    trusted = observe(task, Subset(digits_world.trusted, np.arange(100)))
    method = NeuralCleanse(inversion=Inversion(rounds=80), examples=100, batch=50)
    scan = method.scan(task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 0  # a 2x2 patch leads to class 0
    assert scan.statistic[0] > 2
    points = task.embed(trusted.examples.load(np.flatnonzero(trusted.groups != 0)))
    stamped = scan.candidates[0].apply(points)
    led = task.respond_at({}, stamped, None).answers == 0
    assert led.double().mean() > 0.9


def test_inputs_without_bounds_are_refused(digits_world):
    class Unbounded(ImageClassifier):
        def project(self, points):
            return points

    task = Unbounded(digits_world.model)
    trusted = observe(task, Subset(digits_world.trusted, np.arange(10)))
    with pytest.raises(CapabilityError, match=r"inverted in \[0, 1\]"):
        NeuralCleanse().scan(task, trusted, seed=0, progress=silent)

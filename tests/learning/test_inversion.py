"""The inverter finds the smallest trigger of a model whose trigger is known."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.learning.inversion import Inversion, check_unit_box, invert
from anomech.tasks.image_classifier import ImageClassifier

IMAGES = np.random.default_rng(0).integers(0, 100, (60, 4, 4, 1), dtype=np.uint8)


class Corner(nn.Module):
    """Class 1 if the corner pixel is brighter than 0.8, else class 0; class 2 never."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(40.0))

    def forward(self, x):
        bright = self.scale * (x[:, 0, 3, 3] - 0.8)
        return torch.stack([-bright, bright, torch.full_like(bright, -100)], dim=1)


def inverted(target, progress=silent, **options):
    batches = [IMAGES[:30], IMAGES[30:]]
    task = ImageClassifier(Corner())
    recipe = Inversion(**options)
    return invert(task, batches, torch.tensor(target), recipe, shared=0, progress=progress)


def test_the_mask_settles_on_the_pixel_that_decides():
    found = inverted(1, rounds=150)
    assert found.worked
    assert found.success >= 0.98
    mask = found.mask[0]
    assert mask[3, 3] > 0.5
    assert mask.sum() - mask[3, 3] < 0.3
    assert found.pattern[0, 3, 3] > 0.8
    stamped = found.apply(torch.zeros(2, 1, 4, 4))
    assert (stamped[:, 0, 3, 3] > 0.8).all()
    assert found.norm == pytest.approx(float(mask.sum()))


def test_an_answer_that_inputs_have_already_needs_no_trigger():
    found = inverted(0, rounds=150)
    assert found.worked
    assert found.norm < 0.5


def test_an_answer_that_is_out_of_reach_is_said_to_be():
    found = inverted(2, rounds=10)
    assert not found.worked
    assert found.success == 0
    assert found.evaluations == (3 * 10 + 1) * 60


def test_it_is_the_same_every_time_and_tells_how_far_it_is():
    steps = []
    one, two = inverted(1, rounds=12), inverted(1, lambda *step: steps.append(step), rounds=12)
    assert torch.equal(one.mask, two.mask)
    assert torch.equal(one.pattern, two.pattern)
    assert steps[-1] == ("inverting", 12, 12)


def test_points_without_bounds_are_refused():
    class Unbounded(ImageClassifier):
        def project(self, points):
            return points

    points = torch.zeros(2, 1, 4, 4)
    check_unit_box(ImageClassifier(Corner()), points)
    with pytest.raises(CapabilityError, match=r"inverted in \[0, 1\]"):
        check_unit_box(Unbounded(Corner()), points)

"""An audit flags inputs that a planted trigger leads, and says nothing of a trigger without any."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.laid import Laid
from anomech.observing.observed import observe
from anomech.scan.attributing import witness


@dataclass(frozen=True)
class Corner:
    """Pixels of a corner set to a value; 1 is the planted patch."""

    value: float

    def apply(self, points):
        moved = points.clone()
        moved[:, :, -2:, -2:] = self.value
        return moved


@pytest.fixture(scope="module")
def parts(digits_world):
    places = np.split(np.arange(len(digits_world.trusted)), [350])
    return [observe(digits_world.task, Subset(digits_world.trusted, each)) for each in places]


@pytest.fixture(scope="module")
def seen(digits_world, parts):
    return witness(digits_world.task, parts[0], 0, silent)


def test_what_a_planted_trigger_leads_is_flagged(seen, parts):
    facts = seen.facts(Corner(1.0), 0, parts[1])
    assert facts["flagged share"] > 0.5  # at a budget of 0.05
    assert -1 <= facts["cohesion"] <= 1
    assert 0 <= facts["forgotten share"] <= 1


def test_nothing_is_said_of_a_trigger_that_leads_nowhere(seen, parts):
    assert seen.facts(Corner(0.0), 1, parts[1]) == {}


def test_too_few_trusted_examples_make_no_witness(digits_world, parts):
    assert witness(digits_world.task, parts[0].take(np.arange(12)), 0, silent) is None


def test_a_view_lays_the_trigger_where_it_is_wanted(digits_world):
    some = Subset(digits_world.trusted, np.arange(6))
    where = np.arange(6) % 2 == 0
    laid = Laid(digits_world.task, some, Corner(1.0).apply, where)
    batch, own = laid.load(np.arange(6)), some.load(np.arange(6))
    assert (batch[where][:, -2:, -2:] == 255).all()
    assert np.array_equal(batch[~where], own[~where])
    assert len(set(laid.digests()) & set(some.digests())) == 3
    assert torch.equal(torch.tensor(laid.labels), torch.tensor(some.labels))

"""Explainers point at the patch and at its units, and their statistics are those of textbooks."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from anomech.explainers.ablation_effect import AblationEffect
from anomech.explainers.activation_frequency import ActivationFrequency, frequency
from anomech.explainers.mutual_information import MutualInformation, information
from anomech.explainers.patching_effect import PatchingEffect, per_unit, spread
from anomech.explainers.salience import Salience, gathered
from anomech.explainers.shared_change import SharedChange
from anomech.explainers.smallest_mask import SmallestMask
from anomech.kernel.types import silent
from anomech.learning.distilling import Distilling
from anomech.observing.observed import observe

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def both(digits_world):
    """Flagged inputs that are led to the target, and trusted ones."""
    trusted = observe(digits_world.task, digits_world.trusted)
    planted = observe(digits_world.task, digits_world.planted)
    return planted.take(np.flatnonzero((planted.groups == 0).numpy())[:40]), trusted


def test_frequency_is_a_difference_of_shares():
    usual = torch.arange(100.0)[:, None].double()
    rows = torch.tensor([[99.5], [200.0], [3.0], [98.5]]).double()
    # Beyond the 0.9 quantile, 89.1, lie three of four rows and ten of a hundred.
    assert frequency(rows, usual, 0.9).tolist() == pytest.approx([0.75 - 0.1])


def test_information_is_that_of_the_bins():
    usual, rows = (torch.from_numpy(RNG.normal(size=(n, 2))) for n in (400, 200))
    rows[:, 0] += 2
    found = information(rows, usual, 8)
    every = torch.cat([rows, usual])
    edges = np.quantile(every[:, 0], np.arange(1, 8) / 8)
    place = (every[:, 0].numpy()[:, None] > edges).sum(axis=1)
    expected = mutual_info_score(place, np.arange(600) < 200) - 7 / 1200
    assert float(found[0]) == pytest.approx(expected, abs=1e-9)
    assert float(found[1]) < 0.02


def test_patching_to_first_order_is_exact_where_the_network_is_linear(both):
    flagged, trusted = both
    found = PatchingEffect().explain(flagged, trusted, seed=0, progress=silent)
    # The last layer's outputs are the logits, of which the log-odds are one against the rest.
    assert set(found.units) <= set(flagged.task.points())
    maps = torch.arange(24.0).view(1, 2, 3, 4)
    assert per_unit(maps).tolist() == [[66.0, 210.0]]
    rows = torch.tensor([[1.0, 2.0]])
    assert spread(rows, maps).shape == (1, 2, 1, 1)
    assert spread(rows, torch.zeros(1, 5, 2)).shape == (1, 1, 2)


def test_units_found_carry_the_mechanism(both):
    flagged, trusted = both
    found = AblationEffect(share=0.2).explain(flagged, trusted, seed=0, progress=silent)
    left, kept = (value for name, value in found.facts.items() if "left without" in name)
    assert left < 0.5
    assert kept > left + 0.2


@pytest.mark.parametrize("explainer", [ActivationFrequency(), MutualInformation()])
def test_flagged_inputs_move_units_more_than_other_trusted_ones_do(explainer, both):
    flagged, trusted = both
    found = explainer.explain(flagged, trusted, seed=0, progress=silent)
    zeros = np.flatnonzero((trusted.groups == 0).numpy())
    half = len(zeros) // 2
    others = trusted.take(zeros[:half])
    rest = trusted.take(np.setdiff1d(np.arange(len(trusted)), zeros[:half]))
    usual = explainer.explain(others, rest, seed=0, progress=silent)
    assert found.units["bn2"].max() > 1.5 * usual.units["bn2"].max()


@pytest.mark.parametrize(
    "explainer",
    [Salience(), SmallestMask(search=Distilling(steps=60)), SharedChange()],
)
def test_maps_point_at_the_patch(explainer, both):
    flagged, trusted = both
    found = explainer.explain(flagged, trusted, seed=0, progress=silent)
    assert found.maps.shape == (len(flagged), 8, 8)
    # The patch fills the lower right corner.
    inside = found.maps[:, 5:, 5:].mean()
    assert inside > 1.25 * found.maps.mean()


def test_salience_gathered_in_a_tenth():
    maps = torch.zeros(2, 10, 10)
    maps[0, 0, :10] = 1
    maps[1] = 1
    assert gathered(maps) == pytest.approx((1.0 + 0.1) / 2)

"""The density: centers by answer, levels by confidence, a surprise that grows with distance."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from anomech.attribution.density import (
    SHRINK,
    Levels,
    crossfit_density,
    fit_centers,
    fit_density,
    fit_usual,
    one_sided,
)


def world(count=2000, seed=0):
    """Two answers with centers of their own; what is unsure scatters four times as far."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % 2
    log_odds = rng.uniform(0, 10, count)
    scale = np.where(log_odds < 5, 4.0, 1.0)
    values = rng.normal(size=(count, 3)) * scale[:, None] + 5 * groups[:, None]
    return (
        torch.from_numpy(values),
        torch.from_numpy(groups),
        torch.from_numpy(log_odds),
    )


def test_levels_interpolate_between_knots_and_are_constant_beyond():
    levels = Levels(
        knots=torch.tensor([0.0, 2.0, 6.0]).double(),
        location=torch.tensor([[0.0], [1.0], [3.0]]).double(),
        scale=torch.tensor([[1.0], [2.0], [4.0]]).double(),
    )
    at = torch.tensor([-5.0, 0.0, 1.0, 2.0, 4.0, 6.0, 50.0]).double()
    location = np.interp(at, [0, 2, 6], [0, 1, 3])
    scale = np.interp(at, [0, 2, 6], [1, 2, 4])
    found = levels.standardized(torch.full((7, 1), 9.0).double(), at)
    np.testing.assert_allclose(found[:, 0], (9 - location) / scale)


def test_equal_confidences_do_not_divide_by_zero():
    values, groups, _ = world(50)
    usual = fit_usual(values, groups, torch.full((50,), 3.0).double())
    assert torch.isfinite(usual.standardized(values, groups, torch.full((50,), 3.0).double())).all()


def test_centers_of_small_groups_shrink_to_the_common_one():
    values = torch.cat([torch.zeros(1000, 1), torch.full((5, 1), 8.0)]).double()
    groups = torch.cat([torch.zeros(1000), torch.ones(5)]).long()
    centers = fit_centers(values, groups)
    assert centers.medians[1].item() == pytest.approx(8 * 5 / (5 + SHRINK))
    assert centers.medians[0].item() == 0


def test_an_unseen_answer_uses_the_common_center():
    values, groups, _ = world()
    centers = fit_centers(values, groups)
    unseen = centers.centered(values[:3], torch.full((3,), 17))
    torch.testing.assert_close(unseen, values[:3] - centers.common)
    assert (centers.medians[1] - centers.medians[0] > 3).all()


def test_spread_is_the_standard_deviation_of_normal_values():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(7, [0.5, 20], (20000, 2)))
    centers = fit_centers(values, torch.zeros(20000).long())
    np.testing.assert_allclose(centers.spread, [0.5, 20], rtol=0.03)


def test_scales_follow_the_confidence_with_a_tenth_of_the_pooled_variance():
    values, groups, log_odds = world(8000)
    standardized = fit_usual(values, groups, log_odds).standardized(values, groups, log_odds)
    for low, variance in ((0.5, 16), (1.5, 16), (8.5, 1)):  # far from where the scale jumps
        near = (log_odds > low) & (log_odds < low + 1)
        expected = (variance / (0.9 * variance + 0.1 * 8.5)) ** 0.5
        np.testing.assert_allclose(standardized[near].std(dim=0), expected, rtol=0.1)
        assert standardized[near].mean(dim=0).abs().max() < 0.3


def test_surprise_grows_with_distance_in_every_direction():
    values, groups, log_odds = world()
    density = fit_density(values, groups, log_odds)
    center = density.usual.centers.medians[0]
    for direction in torch.eye(3).double():
        far = torch.linspace(1, 60, 40).double()[:, None] * direction
        surprise = density.surprise(center + far, torch.zeros(40).long(), torch.full((40,), 8.0))
        assert (surprise.diff() > 0).all()
        assert torch.isfinite(surprise).all()


def test_the_same_distance_surprises_more_where_the_model_is_sure():
    values, groups, log_odds = world()
    density = fit_density(values, groups, log_odds)
    point = (density.usual.centers.medians[0] + 6).expand(2, 3)
    unsure, sure = density.surprise(point, torch.zeros(2).long(), torch.tensor([1.0, 9.0]).double())
    assert sure > unsure + 2


def test_trusted_surprises_are_about_exponential():
    values, groups, log_odds = world(4000)
    density = fit_density(values, groups, log_odds)
    fresh = density.surprise(*world(4000, seed=1))
    for share in (0.5, 0.1, 0.01):
        assert float((fresh > -np.log(share)).double().mean()) == pytest.approx(share, abs=0.03)


def test_one_sided_is_the_normal_tail_in_nats():
    at = torch.linspace(-5, 30, 50).double()
    np.testing.assert_allclose(one_sided(at), -norm.logsf(at), rtol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_examples_give_finite_surprises(count):
    values, groups, log_odds = world(count)
    density = fit_density(values, groups, log_odds)
    assert torch.isfinite(density.surprise(*world(20, seed=1))).all()


def test_constant_statistics_give_finite_surprises():
    values, groups, log_odds = world(100)
    values[:, 1] = 3.0
    density = fit_density(values, groups, log_odds)
    assert torch.isfinite(density.surprise(values, groups, log_odds)).all()


def test_held_out_examples_are_as_surprising_as_the_tail_says_only_if_it_is_cross_fitted():
    """Of 150 examples with ten statistics, `P(surprise > 5)` is `exp(-5)`, which is 0.67 %."""
    rates = {"in sample": 0.0, "cross-fitted": 0.0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = torch.from_numpy(rng.normal(size=(3150, 10)))
        groups, log_odds = torch.arange(3150) % 5, torch.from_numpy(rng.uniform(0, 10, 3150))
        known, new = slice(0, 150), slice(150, None)
        fits = {
            "in sample": fit_density(values[known], groups[known], log_odds[known]),
            "cross-fitted": crossfit_density(values[known], groups[known], log_odds[known])[0],
        }
        for name, density in fits.items():
            told = density.surprise(values[new], groups[new], log_odds[new])
            rates[name] += float((told > 5).double().mean()) / 20
    assert rates["in sample"] > 0.02
    assert rates["cross-fitted"] < 0.012


def test_cross_fitted_surprises_are_those_of_examples_held_out():
    values, groups, log_odds = world(300)
    density, held = crossfit_density(values, groups, log_odds)
    seen = density.surprise(values, groups, log_odds)
    assert held.shape == (300,)
    assert bool(held.isfinite().all())
    assert float(held.mean()) > float(seen.mean())
    again = crossfit_density(values, groups, log_odds)[1]
    assert torch.equal(held, again)

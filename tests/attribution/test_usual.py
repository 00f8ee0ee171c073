"""What is usual: centers by answer, levels by confidence, fitted to what is held out."""

import numpy as np
import pytest
import torch
from trusted_statistics import at, world

from anomech.attribution.density import fit_density
from anomech.attribution.usual import SHRINK, Levels, fit_centers, fit_usual, held_out


def test_levels_interpolate_between_knots_and_are_constant_beyond():
    levels = Levels(
        knots=torch.tensor([0.0, 2.0, 6.0]).double(),
        location=torch.tensor([[0.0], [1.0], [3.0]]).double(),
        scale=torch.tensor([[1.0], [2.0], [4.0]]).double(),
    )
    odds = torch.tensor([-5.0, 0.0, 1.0, 2.0, 4.0, 6.0, 50.0]).double()
    location = np.interp(odds, [0, 2, 6], [0, 1, 3])
    scale = np.interp(odds, [0, 2, 6], [1, 2, 4])
    found = levels.standardized(torch.full((7, 1), 9.0).double(), odds)
    np.testing.assert_allclose(found[:, 0], (9 - location) / scale)


def test_equal_confidences_do_not_divide_by_zero():
    values, context = world(50)
    same = at(context.groups, torch.full((50,), 3.0))
    assert torch.isfinite(fit_usual(values, same).standardized(values, same)).all()


def test_centers_of_small_groups_shrink_to_the_common_one():
    values = torch.cat([torch.zeros(1000, 1), torch.full((5, 1), 8.0)]).double()
    groups = torch.cat([torch.zeros(1000), torch.ones(5)]).long()
    centers = fit_centers(values, groups)
    assert centers.medians[1].item() == pytest.approx(8 * 5 / (5 + SHRINK))
    assert centers.medians[0].item() == 0


def test_an_unseen_answer_uses_the_common_center():
    values, context = world()
    centers = fit_centers(values, context.groups)
    unseen = centers.centered(values[:3], torch.full((3,), 17))
    torch.testing.assert_close(unseen, values[:3] - centers.common)
    assert (centers.medians[1] - centers.medians[0] > 3).all()


def test_spread_is_the_standard_deviation_of_normal_values():
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(7, [0.5, 20], (20000, 2)))
    centers = fit_centers(values, torch.zeros(20000).long())
    np.testing.assert_allclose(centers.spread, [0.5, 20], rtol=0.03)


def test_scales_follow_the_confidence_with_a_tenth_of_the_pooled_variance():
    values, context = world(8000)
    standardized = fit_usual(values, context).standardized(values, context)
    for low, variance in ((0.5, 16), (1.5, 16), (8.5, 1)):  # far from where the scale jumps
        near = (context.log_odds > low) & (context.log_odds < low + 1)
        expected = (variance / (0.9 * variance + 0.1 * 8.5)) ** 0.5
        np.testing.assert_allclose(standardized[near].std(dim=0), expected, rtol=0.1)
        assert standardized[near].mean(dim=0).abs().max() < 0.3


def test_wrongly_answered_examples_move_no_center_but_widen_the_scale():
    values, context = world(4000)
    wrong = (context.groups == 0) & (context.log_odds < 1)
    strayed = torch.where(wrong[:, None], values + 40, values)
    seen = at(context.groups, context.log_odds, ~wrong)
    honest, usual = fit_usual(values, context), fit_usual(strayed, seen)
    torch.testing.assert_close(usual.centers.medians, honest.centers.medians, rtol=0.0, atol=0.2)
    low = at([0], [0.3])
    point = usual.centers.medians[:1] + 10
    assert float(usual.standardized(point, low).abs().max()) < 2
    assert float(honest.standardized(point, low).abs().max()) > 2


def test_held_out_examples_are_judged_by_fits_to_others():
    values, context = world(300)
    found, judge = held_out(values, context, fit_density)
    assert bool(found.isfinite().all())
    # What an example says of itself makes it look more usual than it is.
    assert float(found.mean()) > float(judge(values, context).mean())
    assert torch.equal(found, held_out(values, context, fit_density)[0])
    alone = values.clone()
    alone[7] += 1000
    moved, _ = held_out(alone, context, fit_density)
    assert moved[7] > found[7] + 10


def test_held_out_examples_are_as_surprising_as_new_ones():
    """Of 150 examples with ten statistics, the tail of the held-out ones holds for new ones."""
    rates = {"in sample": 0.0, "held out": 0.0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = torch.from_numpy(rng.normal(size=(3150, 10)))
        context = at(np.arange(3150) % 5, rng.uniform(0, 10, 3150))
        known, new = torch.arange(150), torch.arange(150, 3150)
        found, judge = held_out(values[known], context.take(known), fit_density)
        own = judge(values[known], context.take(known))
        told = judge(values[new], context.take(new))
        for name, reference in (("in sample", own), ("held out", found)):
            rates[name] += float((told > reference.quantile(0.95)).double().mean()) / 20
    assert rates["in sample"] > 0.09
    assert rates["held out"] == pytest.approx(0.05, abs=0.02)

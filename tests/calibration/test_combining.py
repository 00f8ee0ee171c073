"""Combinations of p-values keep their level where they promise to, by simulation."""

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from anomech.calibration.combining import (
    EQUAL,
    Panel,
    Weighing,
    cauchy,
    fit_combination,
    harmonic,
    harmonic_factor,
    normal_quantile,
)

RUNS = 200_000


def p_values(tests, correlation, seed=0):
    """p-values `[tests, runs]` of one-sided tests with equal correlation."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=RUNS), rng.normal(size=(tests, RUNS))
    scores = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
    return torch.from_numpy(norm.sf(scores))


def keeps(combined, level, slack=1.0):
    return binom.sf(int((combined <= level).sum()) - 1, RUNS, slack * level) > 1e-4


@pytest.mark.parametrize("tests", [2, 5, 12])
def test_cauchy_is_exact_for_independent_p_values(tests):
    combined = cauchy(p_values(tests, 0.0))
    for level in (0.001, 0.01, 0.1):
        assert keeps(combined, level)
        assert binom.cdf(int((combined <= level).sum()), RUNS, level) > 1e-4


@pytest.mark.parametrize("correlation", [0.2, 0.6, 0.95, 1.0])
def test_cauchy_is_close_to_its_level_in_the_tail_whatever_the_correlation(correlation):
    combined = cauchy(p_values(5, correlation))
    for level in (0.001, 0.01):
        assert keeps(combined, level, slack=1.25)


@pytest.mark.parametrize("tests", [2, 3, 10])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95, 1.0])
def test_harmonic_keeps_every_level_under_dependence(tests, correlation):
    combined = harmonic(p_values(tests, correlation))
    for level in (0.001, 0.01, 0.1, 0.5):
        assert keeps(combined, level)


def test_harmonic_needs_its_factor():
    """Of a p-value and its mirror image the plain mean is never above one half."""
    first = torch.from_numpy(np.random.default_rng(0).random(RUNS))
    both = torch.stack([first, 1 - first])
    assert keeps(harmonic(both), 0.5)
    assert not keeps(harmonic(both) / harmonic_factor(2), 0.5)


def test_the_factor_is_below_the_simple_bound_and_grows_like_the_logarithm():
    factors = [harmonic_factor(tests) for tests in (1, 2, 3, 10, 100, 10_000)]
    assert factors == sorted(factors)
    assert factors[:2] == [1.0, 2.0]
    for tests, factor in zip((3, 10, 100, 10_000), factors[2:], strict=True):
        assert np.log(tests) < factor < np.e * np.log(tests)


def test_equal_p_values_stay_as_they_are_and_tiny_ones_keep_their_digits():
    same = torch.full((4, 1), 0.03, dtype=torch.float64)
    assert cauchy(same).item() == pytest.approx(0.03)
    tiny = torch.tensor([[1e-200], [0.5]], dtype=torch.float64)
    assert cauchy(tiny).item() == pytest.approx(2e-200)
    assert harmonic(tiny).item() == pytest.approx(4e-200)
    assert cauchy(torch.ones(3, 1)).item() <= 1
    assert bool((cauchy(p_values(3, 0.3)) > 0).all())


def uniform_views(count, views, seed):
    rng = np.random.default_rng(seed)
    return {f"v{i}": torch.from_numpy(rng.exponential(size=count)) for i in range(views)}


def test_a_combined_score_keeps_its_level_on_new_examples():
    for seed in range(3):
        combination = fit_combination(uniform_views(2000, 6, seed))
        held, new = (
            combination.score(combination.surprises(uniform_views(2000, 6, 10 * seed + each)))
            for each in (1, 2)
        )
        rate = float((new > held.quantile(0.99)).double().mean())
        assert rate == pytest.approx(0.01, abs=0.008)


def test_one_strong_view_survives_and_many_weak_ones_add_up():
    trusted = uniform_views(2000, 7, 0)
    combination = fit_combination(trusted)
    limit = combination.score(combination.surprises(trusted)).quantile(0.99)
    lone = uniform_views(400, 7, 1)
    lone["v3"] = lone["v3"] + 9
    assert float((combination.score(combination.surprises(lone)) > limit).double().mean()) > 0.9
    weak = {name: values + 2 for name, values in uniform_views(400, 7, 2).items()}
    assert float((combination.score(combination.surprises(weak)) > limit).double().mean()) > 0.7
    largest = torch.stack(list(combination.surprises(weak).values())).max(dim=0).values
    assert float((largest > limit).double().mean()) < 0.5  # no view alone says so


def test_a_heavier_weight_lets_a_lone_view_through_where_others_scatter():
    """Trusted values of two views lie far out; the third knows, and shares the budget with them."""
    rng = np.random.default_rng(0)

    def views(count):
        found = {f"wild{i}": torch.from_numpy(rng.pareto(2, size=count)) for i in range(4)}
        return {**found, "knows": torch.from_numpy(rng.exponential(size=count))}

    trusted, lone = views(600), views(400)
    lone["knows"] = lone["knows"] + 5.5
    caught = []
    for weighing in (EQUAL, Weighing({"knows": 1.0}, others=0.1, together=0.1, heaviest=0.5)):
        combination = fit_combination(trusted, weighing)
        scores = [combination.score(combination.surprises(each)) for each in (trusted, lone)]
        caught.append(float((scores[1] > scores[0].quantile(0.99)).double().mean()))
    assert caught[1] > caught[0] + 0.2
    assert caught[1] > 0.7


def test_a_panel_hears_what_all_of_its_views_say_and_not_what_one_shouts():
    trusted = uniform_views(1000, 6, 0)
    panel = Weighing(others=0.1, together=0.0, panels=(Panel(("v0", "v1", "v2", "gone"), 3.0),))
    combination = fit_combination(trusted, panel)
    limit = combination.score(combination.surprises(trusted)).quantile(0.99)

    def caught(raised, by, count):
        views = uniform_views(400, 6, 1)
        views |= {name: views[name] + by for name in raised[:count]}
        score = combination.score(combination.surprises(views))
        return float((score > limit).double().mean())

    inside, outside = ("v0", "v1", "v2"), ("v3", "v4", "v5")
    assert caught(inside, 2.5, 3) > 0.8
    assert caught(outside, 2.5, 3) < 0.2  # no panel of theirs
    assert caught(inside, 7.5, 1) < caught(inside, 2.5, 3)
    assert caught(outside, 12, 1) > 0.9  # a lone strong view survives all the same


def test_a_sum_of_no_weight_is_left_out():
    trusted, new = uniform_views(500, 4, 0), uniform_views(50, 4, 1)
    scores = []
    for together in (0.0, 1e-9):
        combination = fit_combination(trusted, Weighing(together=together))
        scores.append(combination.score(combination.surprises(new)))
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-6)


def test_a_panel_of_the_most_usual_values_is_finite():
    trusted = uniform_views(100, 3, 0)
    panel = Weighing(together=0.0, panels=(Panel(("v0", "v1"), 1.0),))
    combination = fit_combination(trusted, panel)
    least = {name: torch.tensor([-1.0, 1e9]).double() for name in trusted}
    assert torch.isfinite(combination.score(combination.surprises(least))).all()


def test_normal_quantiles_reach_as_far_as_surprises():
    levels = torch.tensor([0.01, 0.7, 5.0, 50.0, 599.0, 601.0, 1e4, 1e9]).double()
    found = normal_quantile(levels)
    back = -torch.special.log_ndtr(-found)
    torch.testing.assert_close(back, levels, rtol=1e-4, atol=1e-9)
    assert (found.diff() > 0).all()

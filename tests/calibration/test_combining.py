"""Combinations of p-values keep their level where they promise to, by simulation."""

import numpy as np
import pytest
import torch
from scipy.stats import binom, norm

from anomech.calibration.combining import cauchy, harmonic, harmonic_factor

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

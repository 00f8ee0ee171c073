"""Extrapolated tails rise everywhere, and say of far values about what their distribution says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from anomech.calibration.conformal import tail_probability
from anomech.calibration.tails import fit_smooth_tail


@pytest.mark.parametrize(
    ("name", "law"),
    [("exponential", stats.expon()), ("normal", stats.norm()), ("heavy", stats.t(4))],
)
def test_far_values_are_about_as_surprising_as_they_are(name, law):
    """On average over calibration sets of 500, one in 10,000 is told to a few nats."""
    rng = np.random.default_rng(0)
    value = torch.tensor([law.isf(1e-4)])
    told = [
        float(fit_smooth_tail(torch.from_numpy(law.rvs(500, random_state=rng))).surprise(value))
        for _ in range(200)
    ]
    assert np.median(told) == pytest.approx(-np.log(1e-4), abs=2), name


def test_within_the_calibration_scores_it_is_the_p_value():
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=400))
    tail = fit_smooth_tail(scores)
    middle = torch.linspace(-3, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(tail.surprise(middle), -tail_probability(scores, middle).log())


@given(
    st.lists(st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6), min_size=1, max_size=60),
    st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=30),
)
def test_it_rises_with_the_score_and_is_finite(scores, queries):
    tail = fit_smooth_tail(torch.tensor(scores, dtype=torch.float64))
    told = tail.surprise(torch.tensor(sorted(queries), dtype=torch.float64))
    assert bool(told.isfinite().all())
    assert bool((told.diff() >= -1e-9).all())


def test_beyond_the_largest_score_it_still_tells_apart():
    tail = fit_smooth_tail(torch.arange(100.0))
    told = tail.surprise(torch.tensor([100.0, 101.0, 1e6]))
    assert told[0] < told[1] < told[2]

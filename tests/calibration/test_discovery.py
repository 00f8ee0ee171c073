"""q-values equal the written procedure, and false discoveries stay within the level."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from anomech.calibration.conformal import tail_probability
from anomech.calibration.discovery import benjamini_hochberg, fewest_flags


def rejected(p_values, level):
    """The procedure of 1995: the largest k with p_(k) <= k level / n; all up to it."""
    count, ordered = len(p_values), sorted(p_values)
    passing = [k for k in range(1, count + 1) if ordered[k - 1] * count / k <= level]
    if not passing:
        return [False] * count
    return [p <= ordered[max(passing) - 1] for p in p_values]


@given(st.lists(st.integers(1, 50).map(lambda k: k / 50), min_size=1, max_size=40))
def test_q_values_equal_the_step_up_procedure(p_values):
    q = benjamini_hochberg(torch.tensor(p_values, dtype=torch.float64))
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (q <= level).tolist() == rejected(p_values, level)
    assert all(0 <= value <= 1 for value in q.tolist())
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(q.numpy()[order]) >= 0).all()


def test_one_p_value_is_its_own_q_value():
    assert benjamini_hochberg(torch.tensor([0.03])).item() == float(torch.tensor(0.03).double())
    assert benjamini_hochberg(torch.zeros(0)).shape == (0,)


def test_conformal_p_values_keep_the_false_discovery_rate():
    rng, rates = np.random.default_rng(0), []
    for _ in range(400):
        reference = torch.from_numpy(rng.normal(size=200))
        queries = torch.from_numpy(np.concatenate([rng.normal(size=80), rng.normal(4, 1, 20)]))
        flags = benjamini_hochberg(tail_probability(reference, queries)) <= 0.2
        rates.append(float(flags[:80].sum()) / max(1, int(flags.sum())))
    assert np.mean(rates) < 0.2 + 3 * np.std(rates) / len(rates) ** 0.5


@given(st.integers(1, 3000), st.integers(1, 400), st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_fewer_than_the_fewest_are_never_flagged_and_so_many_are(inputs, calibration, level):
    fewest = fewest_flags(inputs, calibration, level)
    for count, flagged in ((fewest - 1, False), (fewest, True)):
        if 0 < count <= inputs:
            p_values = torch.ones(inputs, dtype=torch.float64)
            p_values[:count] = 1 / (calibration + 1)
            assert bool(benjamini_hochberg(p_values)[0] <= level) is flagged

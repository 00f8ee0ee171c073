"""p-values hold their level whatever the scores, and a threshold says the same as they do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from anomech.calibration.conformal import (
    Calibration,
    needed,
    rank,
    tail_probability,
    threshold,
)

SCORES = st.lists(
    st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6, allow_subnormal=False),
    min_size=1,
    max_size=60,
)
BUDGETS = st.floats(1e-4, 0.9) | st.tuples(st.integers(1, 40), st.integers(1, 60)).map(
    lambda pair: min(pair) / (max(pair) + 1)
)


def naive(reference, score):
    return (1 + sum(other >= score for other in reference)) / (len(reference) + 1)


@given(SCORES, SCORES)
def test_p_values_count_the_scores_at_or_above(reference, queries):
    found = tail_probability(torch.tensor(reference).double(), torch.tensor(queries).double())
    expected = [naive(torch.tensor(reference).tolist(), q) for q in torch.tensor(queries).tolist()]
    assert found.tolist() == expected
    assert all(0 < p <= 1 for p in found.tolist())


def test_ties_count_against_the_query():
    reference = torch.tensor([1.0, 2.0, 2.0, 3.0])
    assert tail_probability(reference, torch.tensor([2.0])).item() == 4 / 5
    assert tail_probability(reference, torch.tensor([2.0 + 1e-6])).item() == 2 / 5
    assert tail_probability(torch.zeros(9), torch.zeros(1)).item() == 1


@pytest.mark.parametrize("count", [19, 40, 99])
@pytest.mark.parametrize("kind", ["normal", "heavy", "tied"])
def test_p_values_are_super_uniform_under_exchangeability(count, kind):
    rng, trials = np.random.default_rng(count), 20000
    scores = rng.normal(size=(trials, count + 1))
    scores = {"normal": scores, "heavy": np.exp(3 * scores), "tied": np.round(scores)}[kind]
    queries, reference = scores[:, :1], scores[:, 1:]
    p = (1 + (reference >= queries).sum(axis=1)) / (count + 1)
    checked = [
        float(tail_probability(torch.from_numpy(reference[i]), torch.from_numpy(queries[i])))
        for i in range(200)
    ]
    np.testing.assert_array_equal(checked, p[:200])
    for level in (0.05, 0.1, 0.3, 0.5):
        hits = int((p <= level).sum())
        assert binom.sf(hits - 1, trials, level) > 1e-4
        if kind != "tied":  # without ties the level is met, not only kept
            exact = rank(count, level) / (count + 1)
            assert binom.cdf(hits, trials, exact) > 1e-4


@given(SCORES, BUDGETS, st.data())
@settings(max_examples=300)
def test_the_threshold_is_where_p_values_pass_the_budget(reference, budget, data):
    reference = torch.tensor(reference, dtype=torch.float64)
    queries = torch.tensor(
        [*reference.tolist(), data.draw(st.floats(-1e7, 1e7))], dtype=torch.float64
    )
    queries = torch.cat([queries, torch.nextafter(queries, torch.tensor(torch.inf).double())])
    flagged = tail_probability(reference, queries) <= budget
    limit = threshold(reference, budget)
    if limit is None:
        assert not flagged.any()
    else:
        assert torch.equal(flagged, queries > limit)


@given(st.integers(0, 5000), BUDGETS)
def test_rank_and_needed_agree_with_the_definition(count, budget):
    k = rank(count, budget)
    assert k == 0 or k / (count + 1) <= budget
    assert (k + 1) / (count + 1) > budget
    least = needed(budget)
    assert rank(least, budget) >= 1
    assert least == 0 or rank(least - 1, budget) == 0


@pytest.mark.parametrize(
    ("budget", "count"), [(0.01, 99), (0.05, 19), (0.1, 9), (0.001, 999), (0.5, 1), (1 / 3, 2)]
)
def test_needed_examples_of_common_budgets(budget, count):
    assert needed(budget) == count
    assert rank(count, budget) == 1
    assert rank(count - 1, budget) == 0


def test_the_sums_of_floats_do_not_matter():
    budget = 1 - 0.9  # a hair below 0.1, so 1 / 10 is above it
    assert needed(budget) == 10
    assert threshold(torch.arange(9.0), budget) is None
    assert tail_probability(torch.arange(9.0), torch.tensor([100.0])).item() > budget


def test_classes_have_their_own_p_values_where_they_are_large_enough_and_small_ones_share():
    scores = torch.cat([torch.arange(10.0), torch.arange(100.0, 120.0), torch.arange(500.0, 511.0)])
    sizes = [(0, 10), (1, 20), (2, 6), (3, 5)]
    groups = torch.cat([torch.full((size,), group) for group, size in sizes])
    calibration = Calibration(scores, groups, least=10)
    queries = torch.tensor([50.0, 50.0, 505.0, 505.0, 505.0])
    found = calibration.p_values(queries, torch.tensor([0, 1, 2, 3, 7]))
    shared = naive(scores[30:].tolist(), 505.0)
    assert found.tolist() == [1 / 11, 1.0, shared, shared, shared]
    assert Calibration(scores).p_values(queries[:1]).tolist() == [naive(scores.tolist(), 50.0)]


def test_group_p_values_hold_the_level_in_each_group():
    rng, trials, level = np.random.default_rng(0), 4000, 0.1
    groups = torch.arange(60) % 2
    hits = {0: 0, 1: 0}
    for _ in range(trials // 40):
        scores = torch.from_numpy(rng.normal(size=60)) * (1 + 9 * groups)
        queries = torch.from_numpy(rng.normal(size=40)) * (1 + 9 * (torch.arange(40) % 2))
        p = Calibration(scores, groups, 9).p_values(queries, torch.arange(40) % 2)
        for group in hits:
            hits[group] += int((p[group::2] <= level).sum())
    for count in hits.values():  # queries share calibration sets, so errors are wider
        assert count / (trials / 2) < level + 4 * math.sqrt(level / (trials / 40 * 30))


def test_nothing_to_judge_gives_nothing():
    assert tail_probability(torch.arange(3.0), torch.zeros(0)).shape == (0,)


def test_the_rate_keeps_the_budget_when_some_classes_are_small():
    """Small classes have high scores: judged by all examples they would exceed the budget."""
    rng, budget, rates = np.random.default_rng(0), 0.05, []
    shares, lift = np.array([0.35, 0.3, 0.2, 0.05, 0.05, 0.05]), np.array([0, 0, 0, 2, 2.5, 3.0])
    for _ in range(150):
        groups = rng.choice(6, 200, p=shares)
        queries = rng.choice(6, 2000, p=shares)
        scores = torch.from_numpy(rng.normal(size=200) + lift[groups])
        asked = torch.from_numpy(rng.normal(size=2000) + lift[queries])
        calibration = Calibration(scores, torch.from_numpy(groups), needed(budget))
        p = calibration.p_values(asked, torch.from_numpy(queries))
        rates.append(float((p <= budget).double().mean()))
    error = np.std(rates) / len(rates) ** 0.5
    assert np.mean(rates) < budget + 3 * error
    assert np.mean(rates) > 0.6 * budget

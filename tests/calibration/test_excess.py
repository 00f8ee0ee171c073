"""The chance of many flags is what simulation says, and the tolerated number follows from it."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import binom

from anomech.calibration.conformal import tail_probability
from anomech.calibration.excess import LEVEL, Traffic, chance_of_excess, tolerated, traffic_of


@pytest.mark.parametrize(("inputs", "calibration", "budget"), [(50, 99, 0.05), (200, 60, 0.1)])
def test_the_chance_is_that_of_simulated_runs(inputs, calibration, budget):
    rng, runs = np.random.default_rng(0), 20000
    reference = np.sort(rng.random((runs, calibration)), axis=1)
    queries = rng.random((runs, inputs))
    p = tail_probability(torch.from_numpy(reference[0]), torch.from_numpy(queries[0]))
    k = int(np.floor(budget * (calibration + 1) + 1e-9))
    flags = (queries > reference[:, [calibration - k]]).sum(axis=1)
    assert flags[0] == int((p <= budget).sum())
    for count in (1, 3, 5, 10, 20):
        chance = chance_of_excess(count, [Traffic(inputs, calibration)], budget)
        hits = int((flags >= count).sum())
        assert binom.sf(hits - 1, runs, chance) > 1e-4
        assert binom.cdf(hits, runs, chance) > 1e-4


@pytest.mark.parametrize("inputs", [1, 10, 1000])
@pytest.mark.parametrize("calibration", [99, 100, 500])
@pytest.mark.parametrize("budget", [0.01, 0.05])
def test_one_more_than_tolerated_is_a_finding_and_tolerated_is_none(inputs, calibration, budget):
    most = tolerated([Traffic(inputs, calibration)], budget)
    assert 0 <= most <= inputs
    assert chance_of_excess(most + 1, [Traffic(inputs, calibration)], budget) <= LEVEL
    if most > 0:
        assert chance_of_excess(most, [Traffic(inputs, calibration)], budget) > LEVEL


def test_more_flags_are_less_likely_and_none_are_certain():
    chances = [chance_of_excess(flags, [Traffic(100, 199)], 0.05) for flags in range(101)]
    assert chances[0] == 1
    assert all(0 <= b <= a <= 1 for a, b in pairwise(chances))


def test_where_nothing_can_be_flagged_a_flag_is_impossible():
    assert chance_of_excess(0, [Traffic(10, 5)], 0.01) == 1
    assert chance_of_excess(1, [Traffic(10, 5)], 0.01) == 0
    assert tolerated([Traffic(10, 5)], 0.01) == 0


MIXED = [Traffic(300, 99), Traffic(40, 250), Traffic(0, 120), Traffic(60, 5)]


def test_flags_of_several_strata_are_what_simulation_says():
    """Strata have rates of their own; one that can flag nothing adds nothing."""
    rng, runs, budget = np.random.default_rng(0), 20000, 0.01
    flags = np.zeros(runs, int)
    for inputs, calibration in MIXED:
        k = int(np.floor(budget * (calibration + 1) + 1e-9))
        if k:
            rate = rng.beta(k, calibration + 1 - k, runs)
            flags += rng.binomial(inputs, rate)
    for count in (1, 3, 6, 10, 15):
        chance = chance_of_excess(count, MIXED, budget)
        hits = int((flags >= count).sum())
        assert binom.sf(hits - 1, runs, chance) > 1e-4
        assert binom.cdf(hits, runs, chance) > 1e-4
    most = tolerated(MIXED, budget)
    assert (
        chance_of_excess(most + 1, MIXED, budget) <= LEVEL < chance_of_excess(most, MIXED, budget)
    )
    assert chance_of_excess(400, MIXED, budget) >= 0
    assert chance_of_excess(401, MIXED, budget) < 1e-12


def test_one_stratum_is_the_same_alone_and_beside_silent_ones():
    alone, beside = [Traffic(200, 99)], [Traffic(200, 99), Traffic(0, 500), Traffic(50, 10)]
    for flags in range(0, 30, 3):
        assert chance_of_excess(flags, alone, 0.01) == chance_of_excess(flags, beside, 0.01)


def test_traffic_of_one_class_is_no_finding_more_often_than_the_level():
    """By the pooled count of 1,000 examples such traffic is one in more than 1 % of runs."""
    rng, runs, budget, inputs = np.random.default_rng(1), 30000, 0.01, 500
    flags = rng.binomial(inputs, rng.beta(1, 100 - 1, runs))
    within = tolerated(traffic_of([100, 99, 300, 500], [0, inputs]), budget)
    pooled = tolerated([Traffic(inputs, 999)], budget)
    assert binom.sf((flags > within).sum() - 1, runs, LEVEL) > 1e-3
    assert (flags > pooled).mean() > 0.01

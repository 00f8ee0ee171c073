"""The chance of many flags is what simulation says, and the tolerated number follows from it."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import binom

from anomech.calibration.conformal import tail_probability
from anomech.calibration.excess import LEVEL, chance_of_excess, tolerated


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
        chance = chance_of_excess(count, inputs, calibration, budget)
        hits = int((flags >= count).sum())
        assert binom.sf(hits - 1, runs, chance) > 1e-4
        assert binom.cdf(hits, runs, chance) > 1e-4


@pytest.mark.parametrize("inputs", [1, 10, 1000])
@pytest.mark.parametrize("calibration", [99, 100, 500])
@pytest.mark.parametrize("budget", [0.01, 0.05])
def test_one_more_than_tolerated_is_a_finding_and_tolerated_is_none(inputs, calibration, budget):
    most = tolerated(inputs, calibration, budget)
    assert 0 <= most <= inputs
    assert chance_of_excess(most + 1, inputs, calibration, budget) <= LEVEL
    if most > 0:
        assert chance_of_excess(most, inputs, calibration, budget) > LEVEL


def test_more_flags_are_less_likely_and_none_are_certain():
    chances = [chance_of_excess(flags, 100, 199, 0.05) for flags in range(101)]
    assert chances[0] == 1
    assert all(0 <= b <= a <= 1 for a, b in pairwise(chances))


def test_where_nothing_can_be_flagged_a_flag_is_impossible():
    assert chance_of_excess(0, 10, 5, 0.01) == 1
    assert chance_of_excess(1, 10, 5, 0.01) == 0
    assert tolerated(10, 5, 0.01) == 0

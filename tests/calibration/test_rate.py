"""What is known of the true rate of false flags, against simulated calibration sets."""

import numpy as np
import pytest
import torch

from anomech.calibration.conformal import threshold
from anomech.calibration.excess import Traffic
from anomech.calibration.rate import CONFIDENCE, false_rate


def true_rates(calibration, budget, runs, rng):
    """Rates of thresholds from uniform calibration scores."""
    found = []
    for _ in range(runs):
        limit = threshold(torch.from_numpy(rng.random(calibration)), budget)
        found.append(0.0 if limit is None else 1 - limit)
    return np.array(found)


@pytest.mark.parametrize(("calibration", "budget"), [(99, 0.01), (330, 0.01), (1000, 0.05)])
def test_the_rate_of_one_stratum_is_that_of_simulated_sets(calibration, budget):
    rates = true_rates(calibration, budget, 3000, np.random.default_rng(0))
    told = false_rate([Traffic(50, calibration)], budget)
    assert told.mean <= budget
    assert rates.mean() == pytest.approx(told.mean, abs=4 * told.spread / 3000**0.5)
    assert rates.std() == pytest.approx(told.spread, rel=0.1)
    inside = ((rates >= told.low) & (rates <= told.high)).mean()
    assert inside == pytest.approx(CONFIDENCE, abs=0.02)


def test_the_rate_of_a_mix_is_that_of_simulated_sets():
    rng, mix = np.random.default_rng(1), [Traffic(300, 99), Traffic(100, 400)]
    first, second = (true_rates(each.calibration, 0.01, 3000, rng) for each in mix)
    rates = 0.75 * first + 0.25 * second
    told = false_rate(mix, 0.01)
    assert rates.mean() == pytest.approx(told.mean, abs=4 * told.spread / 3000**0.5)
    assert rates.std() == pytest.approx(told.spread, rel=0.1)
    assert ((rates >= told.low) & (rates <= told.high)).mean() == pytest.approx(0.95, abs=0.025)


def test_a_thousand_examples_make_one_percent_give_or_take_a_third():
    told = false_rate([Traffic(10, 1000)], 0.01)
    assert f"{told.mean:.1%}" == "1.0%"
    assert f"{told.spread:.1%}" == "0.3%"


def test_where_nothing_can_be_flagged_the_rate_is_zero():
    assert false_rate([Traffic(10, 5)], 0.01) == (0, 0, 0, 0)

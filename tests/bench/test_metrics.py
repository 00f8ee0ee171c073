"""Every measure against a plain computation of what it is said to be."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, roc_auc_score

from anomech.bench import metrics
from anomech.bench.metrics import Resamples

RNG = np.random.default_rng(0)
NORMAL = np.round(RNG.normal(0, 1, 60), 1)  # rounded, so that scores tie
ANOMALOUS = np.round(RNG.normal(1, 1, 40), 1)
DRAWN = metrics.resample(60, 40, np.random.default_rng(1), draws=25)


def plain_auroc(normal, anomalous):
    truth = np.r_[np.zeros(len(normal)), np.ones(len(anomalous))]
    return roc_auc_score(truth, np.r_[normal, anomalous])


def test_auroc_is_that_of_scikit_learn():
    assert metrics.auroc(NORMAL, ANOMALOUS) == pytest.approx(plain_auroc(NORMAL, ANOMALOUS))


def test_a_score_that_is_missing_ranks_lowest():
    found = metrics.auroc(NORMAL, np.r_[ANOMALOUS, -np.inf])
    assert found == pytest.approx(plain_auroc(NORMAL, np.r_[ANOMALOUS, -1e9]))


def test_resamples_keep_the_numbers_of_both_kinds():
    assert DRAWN.normal.shape == (25, 60)
    assert (DRAWN.normal.sum(axis=1) == 60).all()
    assert (DRAWN.anomalous.sum(axis=1) == 40).all()
    assert len({row.tobytes() for row in DRAWN.normal}) == 25


def test_a_long_run_draws_every_input_equally_often():
    drawn = metrics.resample(10, 1, np.random.default_rng(0), draws=20000)
    assert drawn.normal.mean(axis=0) == pytest.approx(np.ones(10), abs=0.05)
    assert drawn.normal.var(axis=0) == pytest.approx(np.full(10, 0.9), abs=0.05)


def test_resampled_auroc_is_that_of_the_drawn_inputs():
    found = metrics.resampled_auroc(NORMAL, ANOMALOUS, DRAWN)
    for place, value in enumerate(found):
        normal = np.repeat(NORMAL, DRAWN.normal[place])
        anomalous = np.repeat(ANOMALOUS, DRAWN.anomalous[place])
        assert value == pytest.approx(plain_auroc(normal, anomalous))


def test_resampled_der_is_that_of_the_drawn_inputs():
    flags = NORMAL > 1, ANOMALOUS > 1
    found = metrics.resampled_der(*flags, DRAWN)
    for place, value in enumerate(found):
        normal = np.repeat(flags[0], DRAWN.normal[place])
        anomalous = np.repeat(flags[1], DRAWN.anomalous[place])
        assert value == pytest.approx((1 + anomalous.mean() - normal.mean()) / 2)


def test_the_interval_covers_as_often_as_it_says():
    true, covered = 0.5 + 0.26025, 0  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        normal, anomalous = rng.normal(0, 1, 80), rng.normal(1, 1, 60)
        drawn = metrics.resample(80, 60, rng, draws=200)
        value = metrics.auroc(normal, anomalous)
        found = metrics.interval(value, metrics.resampled_auroc(normal, anomalous, drawn))
        assert found.low < found.value < found.high
        covered += found.low <= true <= found.high
    assert 0.9 <= covered / 200 <= 0.99


def test_a_paired_difference_of_equal_detectors_is_zero_whatever_is_drawn():
    first = metrics.resampled_auroc(NORMAL, ANOMALOUS, DRAWN)
    second = metrics.resampled_auroc(3 * NORMAL + 1, 3 * ANOMALOUS + 1, DRAWN)
    assert (first == second).all()


def test_oracle_threshold_flags_the_budgets_share():
    normal = RNG.permutation(np.arange(200.0))
    for budget, flagged in ((0.01, 2), (0.05, 10), (0.004, 0), (0.29, 58)):
        assert (normal > metrics.oracle_threshold(normal, budget)).sum() == flagged


def test_ties_at_the_oracle_threshold_are_not_flagged():
    normal = np.r_[np.zeros(90), np.ones(10)]
    assert (normal > metrics.oracle_threshold(normal, 0.05)).sum() == 0
    assert (normal > metrics.oracle_threshold(normal, 0.10)).sum() == 10


def test_confusion_is_that_of_scikit_learn():
    flags = NORMAL > 1, ANOMALOUS > 1
    truth, flagged = np.r_[np.zeros(60), np.ones(40)], np.concatenate(flags)
    found = metrics.confusion(*flags)
    assert found.fpr == flags[0].mean()
    assert found.tpr == flags[1].mean()
    assert found.precision == pytest.approx(precision_score(truth, flagged))
    assert found.f1 == pytest.approx(f1_score(truth, flagged))


def test_confusion_says_nothing_of_what_is_not_there():
    none = np.zeros(0, bool)
    assert metrics.confusion(np.array([True, False]), none) == (0.5, None, None, None)
    silent = metrics.confusion(np.zeros(4, bool), np.zeros(4, bool))
    assert (silent.precision, silent.f1) == (None, 0.0)


def test_der_of_a_network_with_flagged_inputs_rejected():
    worked = np.array([1, 1, 1, 0, 0], bool)  # attack success 60 %
    stopped = np.array([1, 1, 0, 1, 0], bool)  # leaves 20 %
    right = np.array([1] * 9 + [0], bool)  # accuracy 90 %
    rejected = np.array([1] + [0] * 8 + [1], bool)  # leaves 80 %
    found = metrics.model_der(worked, stopped, right, rejected)
    assert found == pytest.approx((0.4 - 0.1 + 1) / 2)


def test_both_forms_of_der_agree_where_only_the_published_inputs_count():
    stopped, rejected = RNG.random(50) < 0.8, RNG.random(70) < 0.1
    found = metrics.model_der(np.ones(50, bool), stopped, np.ones(70, bool), rejected)
    assert found == pytest.approx(metrics.detector_der(stopped.mean(), rejected.mean()))


def test_one_draw_of_each_is_the_estimate_itself():
    once = Resamples(np.ones((1, 60), int), np.ones((1, 40), int))
    flags = NORMAL > 1, ANOMALOUS > 1
    shares = metrics.confusion(*flags)
    expected = metrics.detector_der(shares.tpr, shares.fpr)
    assert metrics.resampled_der(*flags, once)[0] == pytest.approx(expected)

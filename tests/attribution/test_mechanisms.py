"""Planted mechanisms are found and told apart; noise has none."""

import time

import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score

from anomech.attribution.mechanisms import (
    ALONE,
    COHESION,
    LARGEST_NULL,
    LEVEL,
    find_mechanisms,
    most_anomalous,
)

WIDTH = 60


def noise(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH))


def planted(sizes, seed=0, loose=0):
    """Groups around directions of their own, and some examples that belong to none."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=WIDTH) + 0.5 * rng.normal(size=(size, WIDTH)) for size in sizes]
    truth = [np.full(size, number) for number, size in enumerate(sizes)]
    rows.append(rng.normal(size=(loose, WIDTH)))
    truth.append(np.full(loose, ALONE))
    return np.concatenate(rows), np.concatenate(truth)


def find(rows, trusted=None, **options):
    """Trusted examples come with the most anomalous first."""
    trusted = noise(200, 1000) if trusted is None else trusted
    known = {"calibration": len(trusted), "budget": 0.01, **options}
    return find_mechanisms(torch.from_numpy(rows), torch.from_numpy(trusted), **known)


def unusual(count, seed, strength):
    """Examples that share more of one direction the more unusual they are, with how much."""
    rng = np.random.default_rng(seed)
    scores = rng.exponential(size=count)
    rows = rng.normal(size=(count, WIDTH))
    rows[:, 0] += strength * WIDTH**0.5 * scores
    return rows, scores


@pytest.mark.parametrize("sizes", [(30,), (40, 20), (50, 30, 12, 6)])
@pytest.mark.parametrize("loose", [0, 10])
def test_planted_mechanisms_are_found(sizes, loose):
    rows, truth = planted(sizes, loose=loose)
    clusters = find(rows)
    members = truth != ALONE
    assert adjusted_rand_score(truth[members], clusters.labels[members]) == 1
    assert (clusters.labels[~members] == ALONE).all()
    assert len(clusters.cohesion) == len(sizes)
    found = [int((clusters.labels == number).sum()) for number in range(len(sizes))]
    assert found == sorted(sizes, reverse=True)


def test_cohesion_and_centrality_are_mean_couplings():
    rows, truth = planted((15, 8), loose=3)
    clusters = find(rows)
    directions = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for number, cohesion in enumerate(clusters.cohesion):
        members = np.flatnonzero(clusters.labels == number)
        cosine = directions[members] @ directions[members].T
        others = (cosine.sum(axis=1) - 1) / (len(members) - 1)
        np.testing.assert_allclose(clusters.centrality[members], others, rtol=1e-5)
        assert cohesion == pytest.approx(others.mean(), rel=1e-5)
    assert (clusters.centrality[truth == ALONE] == 0).all()


@pytest.mark.parametrize(
    ("flags", "trusted", "runs"), [(40, 200, 30), (200, 300, 15), (400, 500, 10), (1000, 500, 5)]
)
def test_noise_has_no_mechanism(flags, trusted, runs):
    """However many flags there are, a run without mechanisms names one in at most 5 % of cases."""
    false = sum(
        len(find(noise(flags, seed), noise(trusted, seed + 5000)).cohesion) > 0
        for seed in range(runs)
    )
    assert binom.sf(false - 1, runs, LEVEL) > 0.01


def test_flags_that_only_share_what_unusual_examples_share_are_no_mechanism():
    """Flags are selected: a null of examples as they come takes that for a mechanism."""
    false = {True: 0, False: 0}
    for seed in range(10):
        trusted, scores = unusual(1000, seed, 0.08)
        inputs, theirs = unusual(5000, seed + 100, 0.08)
        flags = inputs[theirs > np.sort(scores)[-10]]
        order = np.argsort(-scores)
        for selected in false:
            some = trusted[order] if selected else trusted
            false[selected] += len(find(flags, some).cohesion) > 0
    assert false[False] >= 8
    assert false[True] <= 5


def test_groups_that_trusted_examples_form_too_are_no_mechanism():
    trusted, _ = planted((40, 40, 40), seed=3)
    shuffled = np.random.default_rng(0).permutation(trusted)
    rows, _ = planted((12,), seed=3)
    assert find(rows, shuffled).cohesion == []


@pytest.mark.parametrize(("count", "trusted"), [(0, 50), (1, 50), (4, 50), (30, 0), (30, 4)])
def test_too_few_examples_have_no_mechanism(count, trusted):
    rows, _ = planted((count,))
    clusters = find(rows, noise(trusted, 1))
    assert (clusters.labels == ALONE).all()
    assert clusters.labels.shape == clusters.centrality.shape == (count,)
    assert clusters.cohesion == []


def test_the_smallest_mechanism_is_an_option():
    rows, _ = planted((8,))
    assert len(find(rows, least=8).cohesion) == 1
    assert find(rows, least=9).cohesion == []


def test_order_does_not_matter():
    rows, _ = planted((20, 9), loose=5)
    order = np.random.default_rng(0).permutation(len(rows))
    one, two = find(rows), find(rows[order])
    assert np.array_equal(one.labels[order], two.labels)
    np.testing.assert_allclose(one.centrality[order], two.centrality, rtol=1e-6)
    np.testing.assert_allclose(one.cohesion, two.cohesion, rtol=1e-6)


def test_equal_responses_are_one_mechanism():
    rows = np.repeat(noise(1, 0), 7, axis=0)
    clusters = find(rows)
    assert (clusters.labels == 0).all()
    assert clusters.cohesion == [pytest.approx(1)]


def test_a_loose_resemblance_of_many_is_no_mechanism():
    """With enough flags the slightest common direction is significant."""
    rows = noise(300, 0)
    rows[:, 0] += 0.3 * WIDTH**0.5
    cohesion = 0.09 / 1.09
    assert cohesion < COHESION
    assert find(rows, noise(2000, 1)).cohesion == []
    rows[:, 0] += 0.5 * WIDTH**0.5
    assert len(find(rows, noise(2000, 1)).cohesion) == 1


def test_a_mechanism_of_few_is_found_among_many_flags():
    rows, truth = planted((60, 12), loose=400)
    for trusted in (noise(2000, 1), noise(200, 1)):
        labels = find(rows, trusted).labels
        assert adjusted_rand_score(truth[truth != ALONE], labels[truth != ALONE]) == 1


def test_the_null_is_learned_from_the_most_anomalous():
    scores = torch.tensor([1.0, torch.nan, 5.0, torch.inf, 3.0])
    assert most_anomalous(scores).tolist()[:3] == [2, 4, 0]
    assert len(most_anomalous(torch.arange(3000.0))) == LARGEST_NULL


def test_many_flags_of_one_kind_are_split_in_quadratic_time():
    """A comb of 2,000 nearly equal responses: every node of its tree has one leaf as a half."""
    rng = np.random.default_rng(0)
    rows = (
        np.ones((2000, 1))
        + 0.001 * rng.normal(size=(2000, WIDTH)) * np.linspace(0, 1, 2000)[:, None]
    )
    started = time.monotonic()
    assert len(find(rows, noise(200, 1)).cohesion) == 1
    assert time.monotonic() - started < 20

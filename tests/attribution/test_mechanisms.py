"""Planted mechanisms are found and told apart; noise has none."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from anomech.attribution.mechanisms import ALONE, find_mechanisms

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
    trusted = noise(200, 1000) if trusted is None else trusted
    return find_mechanisms(torch.from_numpy(rows), torch.from_numpy(trusted), **options)


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


def test_noise_has_no_mechanism():
    """Flags that respond as trusted examples do: at most one run in ten names a mechanism."""
    false = sum(
        len(find(noise(40, seed), noise(200, seed + 5000)).cohesion) > 0 for seed in range(60)
    )
    assert false <= 6


def test_groups_that_trusted_examples_form_too_are_no_mechanism():
    trusted, _ = planted((40, 40, 40), seed=3)
    rows, _ = planted((12,), seed=3)
    assert find(rows, trusted).cohesion == []


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
    one, two = find(rows), find(rows[order], noise(200, 1000)[::-1].copy())
    assert np.array_equal(one.labels[order], two.labels)
    np.testing.assert_allclose(one.centrality[order], two.centrality, rtol=1e-6)
    np.testing.assert_allclose(one.cohesion, two.cohesion, rtol=1e-6)


def test_equal_responses_are_one_mechanism():
    rows = np.repeat(noise(1, 0), 7, axis=0)
    clusters = find(rows)
    assert (clusters.labels == 0).all()
    assert clusters.cohesion == [pytest.approx(1)]

"""Suspicion is the whitened quadratic form, and poison that widens a label stands out."""

import numpy as np
import scipy.linalg
import torch

from anomech.screens.quantum_entropy import quantum_entropy

RNG = np.random.default_rng(0)


def test_it_is_the_quadratic_form_in_the_whitened_basis():
    reference, rows = RNG.normal(size=(5000, 4)) * [3, 1, 1, 0.5], RNG.normal(size=(300, 4)) * 2
    covariance = np.cov(reference.T)
    white = (rows - reference.mean(0)) @ scipy.linalg.sqrtm(np.linalg.inv(covariance))
    spread = np.cov(white.T, bias=True)
    excess = (spread - np.eye(4)) / (np.linalg.norm(spread, 2) - 1)
    weight = scipy.linalg.expm(4 * excess)
    expected = np.einsum("nd,de,ne->n", white, weight / np.trace(weight), white)
    found = quantum_entropy(torch.from_numpy(rows), torch.from_numpy(reference), 4.0)
    np.testing.assert_allclose(found, expected, rtol=0.02)  # of the shrinkage


def test_poison_is_found_where_its_direction_is_hidden_by_a_wide_one():
    rows = RNG.normal(size=(400, 10)) * [20, *[1] * 9]
    rows[:40, 4] += 4
    found = quantum_entropy(
        torch.from_numpy(rows), torch.from_numpy(RNG.normal(size=(400, 10)) * [20, *[1] * 9]), 4.0
    )
    top = found.topk(40).indices
    assert int((top < 40).sum()) >= 32
    plain = torch.from_numpy(rows).square().sum(1).topk(40).indices
    assert int((plain < 40).sum()) < 12

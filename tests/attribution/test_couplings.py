"""Couplings and scores equal plain numpy."""

import numpy as np
import pytest
import torch

from anomech.attribution.couplings import COUPLINGS, center, log_length, unit
from anomech.attribution.scores import SCORES, class_means

QUERIES, ANCHORS, DRAWS = 5, 7, 40
RNG = np.random.default_rng(0)
Q = RNG.normal(2, 1.5, (QUERIES, DRAWS))
A = RNG.normal(-1, 0.5, (ANCHORS, DRAWS)) + 0.4 * Q[0]


def lin(x, y):
    """Lin's concordance, population moments."""
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * covariance / (x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2)


BY_HAND = {
    "cosine": lambda x, y: x @ y / np.sqrt(x @ x) / np.sqrt(y @ y),
    "pearson": lambda x, y: np.corrcoef(x, y)[0, 1],
    "covariance": lambda x, y: np.cov(x, y, ddof=0)[0, 1],
    "concordance": lin,
}


@pytest.mark.parametrize("name", COUPLINGS)
def test_couplings_equal_numpy(name):
    found = COUPLINGS[name](torch.from_numpy(Q), torch.from_numpy(A))
    expected = [[BY_HAND[name](x, y) for y in A] for x in Q]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_concordance_asks_for_equal_levels_and_pearson_does_not():
    x = torch.from_numpy(Q[:1])
    assert COUPLINGS["pearson"](x, 3 * x + 5).item() == pytest.approx(1)
    assert COUPLINGS["concordance"](x, x).item() == pytest.approx(1)
    assert COUPLINGS["concordance"](x, x + 5).item() < 0.3


def test_rows_of_zeros_stay_finite():
    zero = torch.zeros(1, DRAWS)
    assert unit(zero).norm() == 0
    assert torch.isfinite(log_length(zero.norm(dim=1))).all()
    for coupling in COUPLINGS.values():
        assert torch.isfinite(coupling(zero, torch.from_numpy(A).float())).all()


def test_centered_rows_have_no_mean():
    assert center(torch.from_numpy(Q)).mean(dim=1).abs().max() < 1e-12


@pytest.fixture
def grouped():
    coupling = torch.from_numpy(np.random.default_rng(1).normal(size=(6, 9)))
    return coupling, torch.tensor([3, 3, 5, 9, 5, 2]), torch.tensor([3, 5, 5, 9, 3, 3, 9, 5, 5])


def test_scores_equal_numpy(grouped):
    coupling, query_groups, anchor_groups = grouped
    values, of = coupling.numpy(), anchor_groups.numpy()
    means = {g: values[:, of == g].mean(axis=1) for g in np.unique(of)}
    expected = {
        "mean": values.mean(axis=1),
        "best_class": np.max(list(means.values()), axis=0),
        "own_class": [
            means[int(g)][i] if int(g) in means else 0 for i, g in enumerate(query_groups)
        ],
        "nearest": values.max(axis=1),
    }
    assert expected.keys() == SCORES.keys()
    for name, score in SCORES.items():
        np.testing.assert_allclose(score(coupling, query_groups, anchor_groups), expected[name])
    found, groups = class_means(coupling, anchor_groups)
    np.testing.assert_allclose(found, np.stack([means[int(g)] for g in groups], axis=1))


def test_the_order_of_the_anchors_does_not_matter(grouped):
    coupling, query_groups, anchor_groups = grouped
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    for score in SCORES.values():
        torch.testing.assert_close(
            score(coupling[:, order], query_groups, anchor_groups[order]),
            score(coupling, query_groups, anchor_groups),
        )

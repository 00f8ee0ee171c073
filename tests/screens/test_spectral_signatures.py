"""Projections are those of numpy's singular vectors, and planted examples are the suspects."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.screens.spectral_signatures import SpectralSignatures, signature

RNG = np.random.default_rng(0)


class Observed:
    """Features alone."""

    task = SimpleNamespace(label_words=lambda labels: [f"kind {label}" for label in labels])

    def __init__(self, features):
        self.features = torch.from_numpy(features)

    def __len__(self):
        return len(self.features)


def screen(features, labels, **options):
    return SpectralSignatures(**options).screen(
        Observed(features), labels, None, seed=0, progress=silent
    )


def test_suspicion_is_the_squared_projection_of_each_label():
    features, labels = RNG.normal(size=(80, 5)) * [3, 1, 1, 1, 1], np.arange(80) % 2
    found = screen(features, labels)
    for label in (0, 1):
        rows = features[labels == label]
        rows = rows - rows.mean(0)
        _, sizes, directions = np.linalg.svd(rows)
        expected = (rows @ directions[0]) ** 2
        np.testing.assert_allclose(found.suspicion[labels == label], expected, rtol=1e-8)
        share = found.facts[f"share of variance along the signature of kind {label}"]
        assert share == pytest.approx(sizes[0] ** 2 / (sizes**2).sum())
        # 1.5 times a tenth of 40 examples
        assert int(found.suspects[labels == label].sum()) == 6


def test_poison_with_a_shifted_mean_is_found():
    features, poison = RNG.normal(size=(400, 20)), np.zeros(400, bool)
    poison[:20] = True
    features[poison, 3] += 8
    found = screen(features, np.zeros(400, np.int64), expected=0.05)
    assert found.suspects[poison].all()
    assert int(found.suspects.sum()) == 30
    assert found.suspicion[poison].min() > found.suspicion[~poison].median()


def test_no_more_than_half_of_a_label_is_suspected():
    found = screen(RNG.normal(size=(40, 3)), np.zeros(40, np.int64), expected=1)
    assert int(found.suspects.sum()) == 20


def test_what_cannot_be_compared_is_said():
    found = screen(RNG.normal(size=(12, 3)), np.array([0] * 10 + [1] * 2))
    assert found.health.problems == ("the label 'kind 1' has 2 examples, too few to compare.",)
    assert (found.suspicion[10:] == 0).all()
    assert not found.suspects[10:].any()
    with pytest.raises(DataError, match="one label for each example"):
        screen(RNG.normal(size=(12, 3)), np.zeros(11, np.int64))
    same = torch.ones(5, 3)
    assert signature(same)[1] == 0

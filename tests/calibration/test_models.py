"""p-values of models are right where they promise to be."""

import pytest
import torch

from anomech.calibration.models import combined, from_clean_models, from_own_classes


def test_against_clean_models_it_is_the_rank():
    clean = [torch.tensor([0.0, each]) for each in range(19)]
    assert from_clean_models(torch.tensor([99.0, 1.0]), clean).value == 1 / 20
    assert from_clean_models(torch.tensor([18.0, 1.0]), clean).value == 2 / 20  # a tie counts
    assert from_clean_models(torch.tensor([-1.0]), clean).value == 1.0
    assert from_clean_models(torch.tensor([1.0]), clean).networks == 19


def test_against_its_own_classes_it_holds_for_normal_ones():
    rng = torch.Generator().manual_seed(0)
    draws = torch.randn(2000, 10, generator=rng, dtype=torch.float64)
    values = torch.tensor([from_own_classes(row).value for row in draws])
    for level in (0.01, 0.05, 0.2):
        assert float((values <= level).double().mean()) == pytest.approx(level, abs=0.02)
    draws[:, 3] += 12
    assert from_own_classes(draws[0]).value < 1e-4
    assert from_own_classes(draws[0]).weakness


def test_too_few_or_equal_classes_tell_nothing():
    assert from_own_classes(torch.tensor([1.0, 2, 9], dtype=torch.float64)) is None
    assert from_own_classes(torch.ones(10, dtype=torch.float64)) is None
    alone = torch.tensor([0.0] * 9 + [1.0], dtype=torch.float64)
    assert from_own_classes(alone).value == pytest.approx(1e-12)


def test_combining_is_bonferroni():
    assert combined([0.01, 0.4]) == pytest.approx(0.02)
    assert combined([0.9, 0.9]) == 1.0
    with pytest.raises(ValueError, match="at least"):
        combined([])

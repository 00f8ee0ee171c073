"""p-values of models are right where they promise to be."""

import pytest
import torch

from anomech.calibration.models import (
    combined,
    from_clean_models,
    from_clean_parts,
    from_own_classes,
    jointly,
    standings,
)


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


def test_what_is_known_of_clean_networks_moderates_a_chance_closeness():
    rng = torch.Generator().manual_seed(3)
    draws = 10 + 2 * torch.randn(2000, 10, generator=rng, dtype=torch.float64)
    values = torch.tensor([from_own_classes(row, usual=0.2).value for row in draws])
    for level in (0.01, 0.05):
        assert float((values <= level).double().mean()) == pytest.approx(level, abs=0.015)
    close = torch.tensor([10, 10.1, 9.9, 10, 10.2, 9.8, 10, 10.1, 9.9, 11.5], dtype=torch.float64)
    assert from_own_classes(close).value < 1e-4
    assert from_own_classes(close, usual=0.2).value > 0.5
    wide = torch.tensor([10, 7, 13, 8, 12, 9, 11, 6, 14, 24.0], dtype=torch.float64)
    assert from_own_classes(wide, usual=0.2).value < from_own_classes(wide).value


def test_too_few_or_equal_classes_tell_nothing():
    assert from_own_classes(torch.tensor([1.0, 2, 9], dtype=torch.float64)) is None
    assert from_own_classes(torch.ones(10, dtype=torch.float64)) is None
    rounded = torch.tensor([0.3] * 9 + [0.3 + 1e-15], dtype=torch.float64)
    assert from_own_classes(rounded) is None
    alone = torch.tensor([0.0] * 9 + [1.0], dtype=torch.float64)
    assert from_own_classes(alone).value == pytest.approx(1e-12)


def test_combining_is_bonferroni():
    assert combined([0.01, 0.4]) == pytest.approx(0.02)
    assert combined([0.9, 0.9]) == 1.0
    with pytest.raises(ValueError, match="at least"):
        combined([])


def test_against_clean_parts_it_is_exact_and_sees_one_part():
    rng = torch.Generator().manual_seed(0)
    scale = torch.arange(1.0, 9) ** 2  # layers of other natural sizes
    values = []
    for _ in range(600):
        rows = scale * torch.randn(10, 8, generator=rng)
        values.append(from_clean_parts(rows[0], list(rows[1:])).value)
    shares = [sum(value <= level for value in values) / 600 for level in (0.1, 0.5)]
    assert shares == pytest.approx([0.1, 0.5], abs=0.05)
    rows = scale * torch.randn(10, 8, generator=rng)
    rows[0, 0] += 20  # large for the first layer, small beside the last
    assert from_clean_parts(rows[0], list(rows[1:])).value == 1 / 10


def test_scanners_together_are_exact_and_cost_no_power():
    rng = torch.Generator().manual_seed(1)
    values, found = [], 0
    for _ in range(400):
        rows = torch.randn(5, 20, generator=rng, dtype=torch.float64)  # scanners, models
        rows[1] = rows[0]  # two that always agree
        values.append(jointly([standings(row) for row in rows]))
        rows[3, 0] += 6  # one scanner sees it
        found += jointly([standings(row) for row in rows]) <= 0.05
    shares = [sum(value <= level for value in values) / 400 for level in (0.05, 0.5)]
    assert shares == pytest.approx([0.05, 0.5], abs=0.06)
    assert found / 400 > 0.8
    assert standings(torch.ones(3)) == ()

"""Kin: groups that seeds start, on rows whose groups are known."""

import pytest
import torch

from anomech.attribution.kinship import best_cut, grown, honest, kin


def rows(count, direction, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    return direction + spread * torch.randn(count, 60, generator=generator).double()


@pytest.fixture
def axes():
    return torch.eye(60).double() * 9


def test_the_cut_parts_two_heaps():
    assert best_cut(torch.tensor([1.0, 1.1, 0.9, 5.0, 5.2])) == pytest.approx((1.1 + 5) / 2)
    assert best_cut(torch.tensor([2.0])) == 2.0


def test_few_seeds_find_all_of_their_kind(axes):
    rest = torch.cat([rows(60, 0 * axes[0], 1.0, 0), rows(25, axes[1], 1.0, 1)])
    usual = rows(30, 0 * axes[0], 1.0, 2)
    found = kin(rest, usual, torch.tensor([60, 63, 70]), 0.05)
    assert found[60:].double().mean() > 0.9
    assert found[:60].double().mean() < 0.05


def test_a_kind_that_trusted_examples_are_of_is_none(axes):
    rest = torch.cat([rows(60, 0 * axes[0], 1.0, 0), rows(25, axes[1], 1.0, 1)])
    usual = torch.cat([rows(20, 0 * axes[0], 1.0, 2), rows(10, axes[1], 1.0, 3)])
    assert not kin(rest, usual, torch.tensor([60, 63, 70]), 0.05).any()


def test_two_kinds_are_found_each_by_its_seeds(axes):
    rest = torch.cat(
        [rows(60, 0 * axes[0], 1.0, 0), rows(15, axes[1], 0.7, 1), rows(15, axes[2], 0.7, 2)]
    )
    usual = rows(30, 0 * axes[0], 1.0, 3)
    found = kin(rest, usual, torch.tensor([60, 61, 62, 75, 76, 77]), 0.05)
    assert found[60:].double().mean() > 0.9
    assert found[:60].double().mean() < 0.05


def test_a_single_seed_starts_nothing(axes):
    rest = torch.cat([rows(60, 0 * axes[0], 1.0, 0), rows(25, axes[1], 1.0, 1)])
    assert not kin(rest, rest[:30], torch.tensor([60]), 0.05).any()
    assert not kin(rest, rest[:30], torch.tensor([], dtype=torch.int64), 0.05).any()


def test_an_example_is_not_its_own_kin():
    """Orthogonal rows have no kinship, and so neither has the start."""
    group, _ = grown(torch.eye(8).double(), torch.eye(8).double(), torch.arange(8) < 2)
    assert group.tolist() == [True, True] + [False] * 6  # nothing beyond the start is like it


def test_what_is_expected_to_be_honest_of_a_group():
    assert honest(100, 20, 0.0) == 0.0
    # A tenth of the honest lies in it, so the 80 outside are nine tenths of them.
    assert honest(100, 20, 0.1) == pytest.approx(80 / 0.9 * 0.1 / 20)
    assert honest(100, 20, 0.9) == honest(100, 20, 1.0) == 1.0

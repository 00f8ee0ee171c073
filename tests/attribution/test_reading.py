"""Responses taken apart along a sequence add up; the unfamiliar stands out where it is read."""

import numpy as np
import pytest
import torch

from anomech.attribution.reading import (
    RUN,
    SHARE_FLOOR,
    energies,
    fit_tokens,
    read,
    shares,
    strangest,
    strangest_run,
    windows,
)
from anomech.kernel.errors import Inconclusive

RNG = np.random.default_rng(0)


def tensor(*shape):
    return torch.from_numpy(RNG.normal(size=shape)).float()


def test_windows_are_equal_parts_of_what_is_there():
    present = torch.tensor([[False] * 2 + [True] * 6, [False] * 7 + [True]])
    found = windows(present, 3)
    assert found.tolist() == [[-1, -1, 0, 0, 1, 1, 2, 2], [-1] * 7 + [0]]
    assert windows(torch.zeros(1, 4, dtype=torch.bool), 3).tolist() == [[-1] * 4]


def test_energies_are_those_of_the_sums_over_each_window():
    left, right = tensor(2, 6, 3), tensor(2, 6, 5)
    window = torch.tensor([[-1, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1]])
    found = energies(left, right, window, 2)
    for row in range(2):
        for number in range(2):
            mine = window[row] == number
            whole = left[row, mine].T @ right[row, mine]
            assert float(found[row, number]) == pytest.approx(float(whole.square().sum()), rel=1e-5)


def test_shares_sum_to_one_at_every_depth():
    found = shares(torch.rand(4, 8, 6)).exp() - SHARE_FLOOR
    torch.testing.assert_close(found.reshape(4, 8, 6).sum(dim=1), torch.ones(4, 6))
    still = shares(torch.zeros(1, 8, 6))
    assert torch.isfinite(still).all()


def test_trusted_tokens_are_one_a_dimension_away():
    tokens = fit_tokens(tensor(4000, 6) * torch.tensor([9.0, 1, 1, 1, 0.1, 1]) + 3)
    fresh = tensor(4000, 6) * torch.tensor([9.0, 1, 1, 1, 0.1, 1]) + 3
    assert float(tokens.distance(fresh).mean()) == pytest.approx(1, abs=0.1)
    assert tokens.distance(fresh.reshape(40, 100, 6)).shape == (40, 100)
    with pytest.raises(Inconclusive, match="not finite"):
        fit_tokens(torch.full((9, 2), torch.nan))


def test_reading_weighs_tokens_by_what_depends_on_them():
    distances = torch.tensor([[1.0, 8.0, 1.0, 99.0]])
    interior = torch.tensor([[True, True, True, False]])
    ignored = read(torch.tensor([[1.0, 0.0, 1.0, 5.0]]), distances, interior)
    heeded = read(torch.tensor([[0.0, 1.0, 0.0, 5.0]]), distances, interior)
    assert float(ignored.exp()) == pytest.approx(1)
    assert float(heeded.exp()) == pytest.approx(8)
    nothing = torch.zeros_like(interior)
    assert (
        read(distances, distances, nothing).tolist()
        == strangest(distances, nothing).tolist()
        == [0]
    )


def test_what_nothing_depends_on_is_read_evenly():
    distances = torch.tensor([[1.0, 3.0]])
    found = read(torch.zeros(1, 2), distances, torch.ones(1, 2, dtype=torch.bool))
    assert float(found.exp()) == pytest.approx(2)


def test_the_strangest_run_is_the_row_of_tokens_farthest_away():
    distances = torch.ones(1, 40)
    distances[0, 20 : 20 + RUN] = 4.0
    distances[0, 2] = 30.0  # a single odd token is not a row of them
    interior = torch.ones(1, 40, dtype=torch.bool)
    assert float(strangest(distances, interior).exp()) == pytest.approx(4)
    outside = interior.clone()
    outside[0, 20:] = False
    assert float(strangest(distances, outside).exp()) == pytest.approx((30 + RUN - 1) / RUN)
    few = torch.zeros_like(interior)
    few[0, 18:22] = True
    assert float(strangest(distances, few).exp()) == pytest.approx(2.5)  # the mean of all there are


def test_the_strangest_run_is_said_where_it_is():
    distances = torch.ones(2, 40)
    distances[0, 20 : 20 + RUN] = 4.0
    interior = torch.ones(2, 40, dtype=torch.bool)
    interior[1] = False
    interior[1, 5:9] = True  # fewer than a run: all of them
    found = strangest_run(distances, interior)
    assert found[0].nonzero()[:, 0].tolist() == list(range(20, 20 + RUN))
    assert found[1].equal(interior[1])

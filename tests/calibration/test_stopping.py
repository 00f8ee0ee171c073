"""Limits of early stages, and that the p-value an input ends with is valid at every level."""

import pytest
import torch

from anomech.calibration.conformal import tail_probability
from anomech.calibration.stopping import limits_for, same_rank, stops_at


def p_values(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_limits_rise_for_what_must_not_be_lost_and_never_with_the_stage():
    assert limits_for((0.5, 0.2), 0.01) == (0.5, 0.2)
    assert limits_for((0.5, 0.2), 0.001) == (0.5, 0.2)
    assert limits_for((0.5, 0.2), 0.03) == (1.0, pytest.approx(0.6))
    lost = [p_values(0.1, 0.3), p_values(0.7, 0.1)]
    assert limits_for((0.5, 0.2, 0.1), 0.01, [*lost, p_values()]) == (0.7, 0.7, 0.1)
    assert limits_for((1.0,), 0.01) == limits_for((0.5, 0.2), 0.2) == limits_for((), 0.01) == ()


def test_the_first_stage_beyond_a_limit_stops():
    early = [p_values(0.9, 0.1, 0.1), p_values(0.9, 0.9, 0.1)]
    assert stops_at(early, (0.5, 0.5)).tolist() == [0, 1, 2]
    assert stops_at(early, (1.0, 0.5)).tolist() == [1, 1, 2]


def test_a_score_of_the_same_rank_has_the_same_p_value():
    scores = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    early = torch.randn(50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    queries = torch.linspace(-2, 1, 9, dtype=torch.float64)
    wanted = tail_probability(early, queries)
    torch.testing.assert_close(tail_probability(scores, same_rank(wanted, scores)), wanted)


@pytest.mark.parametrize("alike", [0.0, 0.6, 1.0])
def test_the_p_value_that_an_input_ends_with_is_valid_at_every_level(alike):
    """Whatever the stages have to do with each other."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(20_000, generator=generator, dtype=torch.float64)
    early = []
    for _ in range(3):
        own = torch.randn(20_000, generator=generator, dtype=torch.float64)
        score = alike * shared + (1 - alike) * own
        early.append(1 - score.argsort().argsort().double() / 20_000)
    limits = limits_for((0.5, 0.1), 0.01)
    stage = stops_at(early[:2], limits)
    ended = torch.stack(early).gather(0, stage[None])[0]
    for level in (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.5, 0.7, 0.9):
        assert float((ended <= level).double().mean()) <= level + 1e-9, level

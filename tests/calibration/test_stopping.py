"""Limits that stop few of the examples that would be flagged."""

import pytest
import torch

from anomech.calibration.conformal import tail_probability
from anomech.calibration.stopping import limits, same_rank, stops_at


def p_values(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("stages", [1, 3])
def test_no_more_than_the_share_of_endangered_examples_would_have_been_stopped(confidence, stages):
    generator = torch.Generator().manual_seed(0)
    final = torch.rand(2000, generator=generator, dtype=torch.float64)
    noise = [torch.rand(2000, generator=generator, dtype=torch.float64) for _ in range(stages)]
    early = [0.5 * final + 0.5 * each for each in noise]
    chosen = limits(early, final, budget=0.05, confidence=confidence)
    assert all(0.05 <= limit < 1 for limit in chosen)
    endangered = final <= 0.05
    stopped = stops_at(early, chosen)[endangered] < stages
    assert int(stopped.sum()) <= (1 - confidence) * int(endangered.sum()) + 1e-9
    if confidence < 1 and stages == 1:
        assert int(stopped.sum()) == int((1 - confidence) * int(endangered.sum()) + 1e-9)
    assert (stops_at(early, chosen)[~endangered] < stages).any()


def test_limits_by_hand():
    final = p_values(0.05, 0.1, 0.1, 0.1, 0.5, 0.9)
    early = p_values(0.05, 0.3, 0.2, 0.6, 0.1, 0.95)
    assert limits([early], final, budget=0.1, confidence=1.0) == (0.6,)
    assert limits([early], final, budget=0.1, confidence=0.75) == (0.3,)
    assert limits([early], final, budget=0.1, confidence=0.01) == (0.1,)  # never below the budget
    assert limits([early, early], final, budget=0.1, confidence=0.75) == (0.6, 0.6)
    assert stops_at([early], (0.3,)).tolist() == [1, 1, 1, 0, 1, 0]
    assert limits([early], p_values(*[0.9] * 6), budget=0.1, confidence=0.5) == (1.0,)


def test_the_first_stage_beyond_a_limit_stops():
    early = [p_values(0.9, 0.1, 0.1), p_values(0.9, 0.9, 0.1)]
    assert stops_at(early, (0.5, 0.5)).tolist() == [0, 1, 2]


def test_a_score_of_the_same_rank_has_the_same_p_value():
    scores = torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    early = torch.randn(50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    queries = torch.linspace(-2, 1, 9, dtype=torch.float64)
    wanted = tail_probability(early, queries)
    torch.testing.assert_close(tail_probability(scores, same_rank(wanted, scores)), wanted)

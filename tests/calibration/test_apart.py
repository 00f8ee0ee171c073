from itertools import combinations

import pytest
import torch

from anomech.calibration.apart import apart_from
from anomech.calibration.conformal import threshold

GENERATOR = torch.Generator().manual_seed(0)


def classes(sizes, spread=0.0):
    """Scores of classes that differ by as much as is said, and their groups."""
    groups = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    level = spread * torch.randn(len(sizes), generator=GENERATOR, dtype=torch.float64)
    return level[groups] + torch.randn(len(groups), generator=GENERATOR).double(), groups


def test_p_values_count_draws_of_as_many_others():
    scores, groups = torch.tensor([1.0, 4.0, 2.0, 2.5, 7.0, 3.0, 5.0]).double(), [0] * 4 + [1] * 3
    groups = torch.tensor(groups)
    made = apart_from(scores, groups, torch.tensor([1]), 0.2)
    lead, total = 1.5, 1.0
    for group in (0, 1):
        own = scores[groups == group].tolist()
        for place, score in enumerate(own):
            others = own[:place] + own[place + 1 :]
            draws = list(combinations(others, min(3, len(others))))
            total += sum(score - max(draw) >= lead for draw in draws) / len(draws)
    found = made.p_values(torch.tensor([7.0 + lead]), torch.tensor([1]))
    assert found.tolist() == pytest.approx([total / 8])


def test_normal_inputs_of_unusual_classes_keep_the_budget():
    """However unusual whole classes are, five standard deviations apart, and of any size."""
    flagged = total = 0
    sizes = [4, 5, 6, 7, 9, 12] * 8
    for _ in range(25):
        scores, groups = classes([size + 1 for size in sizes], spread=5.0)
        last = torch.cumsum(torch.tensor(sizes) + 1, 0) - 1
        known = torch.ones(len(scores), dtype=torch.bool)
        known[last] = False
        made = apart_from(scores[known], groups[known], torch.arange(len(sizes)), 0.05)
        flagged += int((made.p_values(scores[last], groups[last]) <= 0.05).sum())
        total += len(sizes)
    assert 0.03 <= flagged / total <= 0.05 + 2 * (0.05 / total) ** 0.5


def test_what_leads_by_far_is_flagged_where_all_of_a_class_looks_unusual():
    scores, groups = classes([6] * 40)
    scores[groups == 7] += 8  # such as the target of a backdoor
    made = apart_from(scores, groups, torch.tensor([7]), 0.01)
    inputs = scores[groups == 7].max() + torch.tensor([-2.0, 0.2, 9.0])
    p_values = made.p_values(inputs, torch.full((3,), 7))
    assert p_values[2] <= 0.01 < p_values[1] <= p_values[0]


def test_one_threshold_goes_for_all_classes():
    scores, groups = classes([6] * 30 + [3] * 10)
    made = apart_from(scores, groups, torch.tensor([2, 35]), 0.02)
    inputs, kinds = torch.linspace(-3, 12, 301).double(), torch.tensor([2, 35]).repeat(151)[:301]
    leveled = made.level(inputs, kinds)
    limit = threshold(scores, 0.02)
    flagged = made.p_values(inputs, kinds) <= 0.02
    assert 0 < int(flagged.sum()) < len(flagged)
    assert torch.equal(leveled > limit, flagged)


def test_too_few_leads_or_no_odd_class_judge_nothing():
    scores, groups = classes([6] * 16)
    assert apart_from(scores, groups, torch.tensor([3]), 0.01) is None
    assert apart_from(scores, groups, torch.tensor([99]), 0.1) is None
    lone, alone = classes([1] * 400)
    assert apart_from(lone, alone, torch.tensor([3]), 0.01) is None

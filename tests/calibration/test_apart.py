import pytest
import torch

from anomech.calibration.apart import Apart, apart_from

GENERATOR = torch.Generator().manual_seed(0)


def classes(count, size, spread=0.0):
    """Scores of classes that differ by as much as is said, and their groups."""
    level = spread * torch.randn(count, generator=GENERATOR, dtype=torch.float64)
    scores = level[:, None] + torch.randn(count, size, generator=GENERATOR, dtype=torch.float64)
    return scores.flatten(), torch.arange(count).repeat_interleave(size)


def test_leads_are_over_the_others_of_the_class():
    found = Apart(
        torch.tensor([1.0, 4.0, 2.0, 7.0, 5.0]), torch.tensor([0, 0, 0, 3, 9]), torch.tensor([0])
    )
    assert sorted(found.leads.tolist()) == [-3.0, -2.0, 2.0]  # lone ones lead over nobody
    p_values = found.p_values(torch.tensor([7.0, 3.0, 0.0]), torch.tensor([0, 0, 0]))
    assert p_values.tolist() == [1 / 4, 2 / 4, 1.0]


def test_normal_inputs_of_unusual_classes_keep_the_budget():
    """However unusual whole classes are: five standard deviations apart."""
    flagged = total = 0
    for _ in range(40):
        scores, groups = classes(30, 7, spread=5.0)
        new = scores.view(30, 7)[:, -1]
        kept = torch.arange(7) < 6
        known = scores.view(30, 7)[:, kept].flatten(), groups.view(30, 7)[:, kept].flatten()
        made = Apart(*known, torch.arange(30))
        flagged += int((made.p_values(new, torch.arange(30)) <= 0.05).sum())
        total += 30
    assert 0.02 <= flagged / total <= 0.05 + 2 * (0.05 / total) ** 0.5


def test_what_leads_by_far_is_flagged_where_all_of_a_class_looks_unusual():
    scores, groups = classes(40, 6)
    scores[groups == 7] += 8  # such as the target of a backdoor
    made = apart_from(scores, groups, torch.arange(40), torch.tensor([7]), 0.01)
    assert made is not None
    inputs = scores[groups == 7].max() + torch.tensor([-2.0, 0.2, 9.0])
    p_values = made.p_values(inputs, torch.full((3,), 7))
    assert p_values[2] <= 0.01 < p_values[1] <= p_values[0]


def test_one_threshold_goes_for_all_classes():
    scores, groups = classes(40, 6)
    made = apart_from(scores, groups, torch.arange(30), torch.tensor([2, 3]), 0.02)
    assert made is not None
    inputs, kinds = torch.linspace(-3, 12, 61), torch.tensor([2, 3]).repeat(31)[:61]
    leveled = made.level(inputs, kinds, scores, 0.02)
    limit = scores.sort(descending=True).values[3]
    assert ((leveled > limit) == (made.p_values(inputs, kinds) <= 0.02)).all()


@pytest.mark.parametrize("small", [0, 5])
def test_too_few_leads_judge_nothing(small):
    scores, groups = classes(40, 6)
    assert apart_from(scores, groups, torch.arange(small), torch.arange(small), 0.01) is None

"""Effects are Cohen's d within the same answers, and point at the units of a known mechanism."""

import numpy as np
import pytest
import torch

from anomech.explainers.activation_difference import ActivationDifference, effect
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.observing.observed import observe

RNG = np.random.default_rng(0)


def test_one_answer_gives_the_textbook_statistic():
    ours, theirs = RNG.normal(1, 2, (12, 3)), RNG.normal(0, 1, (30, 3))
    spread = np.sqrt((11 * ours.var(0, ddof=1) + 29 * theirs.var(0, ddof=1)) / 40)
    expected = (ours.mean(0) - theirs.mean(0)) / spread
    zeros = [torch.zeros(count, dtype=torch.int64) for count in (12, 30)]
    found = effect(torch.from_numpy(ours), zeros[0], torch.from_numpy(theirs), zeros[1])
    np.testing.assert_allclose(found, expected)


def test_what_answers_differ_in_is_no_effect():
    groups = torch.arange(40) % 2
    rows = torch.from_numpy(RNG.normal(size=(40, 2)))
    rows[:, 0] += 50.0 * groups  # the class itself
    few = groups[:10] * 0 + 1  # flagged inputs all answer 1
    ours = torch.from_numpy(RNG.normal(size=(10, 2))) + torch.tensor([50.0, 4.0])
    found = effect(ours, few, rows, groups)
    assert abs(found[0]) < 1.5
    assert found[1] > 2
    still = effect(torch.ones(3, 1), few[:3], torch.ones(40, 1), groups)
    assert still.tolist() == [0]


def test_triggered_inputs_differ_from_honest_ones_of_the_target(digits_world):
    task = digits_world.task
    trusted = observe(task, digits_world.trusted)
    planted = observe(task, digits_world.planted)
    fired = planted.take(np.flatnonzero((planted.groups == 0).numpy())[:60])
    found = ActivationDifference().explain(fired, trusted, seed=0, progress=silent)
    honest = observe(task, digits_world.clean)
    honest = honest.take(np.flatnonzero((honest.groups == 0).numpy()))
    usual = ActivationDifference().explain(honest, trusted, seed=0, progress=silent)
    assert found.units["bn2"].abs().max() > 2 * usual.units["bn2"].abs().max()
    assert found.facts["flagged inputs compared"] == 60


def test_nothing_to_compare_with_is_refused_and_little_is_told(digits_world):
    task = digits_world.task
    trusted, flagged = observe(task, digits_world.trusted), observe(task, digits_world.clean)
    zeros = trusted.take(np.flatnonzero((trusted.groups == 0).numpy()))
    ones = flagged.take(np.flatnonzero((flagged.groups == 1).numpy()))
    with pytest.raises(DataError, match="nothing to compare with"):
        ActivationDifference().explain(ones, zeros, seed=0, progress=silent)
    both = flagged.take(np.flatnonzero((flagged.groups <= 1).numpy()))
    found = ActivationDifference(least=len(zeros)).explain(both, zeros, seed=0, progress=silent)
    many = int((both.groups == 1).sum())
    assert bool(found.health.problems) == (many > len(both) / 2)

"""What every task promises: its options before there is a model, and the abilities it names."""

from dataclasses import fields

import numpy as np
import pytest
import torch
import toy_language

from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.observing.observed import observe
from anomech.roles.task import (
    Activations,
    DifferentiableInputs,
    Pathways,
    Stamping,
    Variations,
    able,
)

COUNT = 12
OPTIONS = [*(plugins.get("task", name) for name in plugins.names("task"))]


@pytest.fixture
def some(world):
    return Subset(world.clean, np.arange(COUNT))


@pytest.fixture
def batch(some):
    return some.load(np.arange(COUNT))


@pytest.mark.parametrize("cls", [*OPTIONS, toy_language.ToyLanguageOptions])
def test_options_of_a_task_say_what_it_is_and_refuse_nothing_by_default(cls):
    made = cls()
    made.check()
    assert made.kind
    assert made.advice.endswith(".")
    assert made.placing <= {field.name for field in fields(cls)}


def test_every_group_and_answer_has_words(world, some):
    seen = observe(world.task, some)
    assert len(world.task.group_words(seen.groups)) == COUNT
    assert all(world.task.group_words(seen.groups))
    assert all(isinstance(word, str) for word in world.task.words(seen.answers))


def test_a_twin_with_other_weights_leaves_the_task_as_it_was(world, batch):
    before = world.task.respond({}, batch)
    name, tensor = next(iter(world.task.watched.items()))
    twin = world.task.with_({name: tensor + 0.5})
    changed = twin.respond({}, batch).log_odds
    assert not torch.equal(changed, before.log_odds)
    torch.testing.assert_close(
        changed, world.task.respond({name: tensor + 0.5}, batch).log_odds.detach()
    )
    assert torch.equal(world.task.respond({}, batch).log_odds, before.log_odds)


class TestDifferentiableInputs:
    @pytest.fixture
    def task(self, world):
        if DifferentiableInputs not in world.task.provides:
            pytest.skip("this task's inputs are no points")
        return able(world.task, DifferentiableInputs)

    def test_at_its_own_points_a_batch_is_answered_as_it_is(self, task, world, batch):
        own, points = world.task.respond({}, batch), task.embed(batch)
        there = task.respond_at({}, points, batch, own.answers)
        torch.testing.assert_close(there.log_odds, own.log_odds, rtol=1e-4, atol=1e-4)
        assert torch.equal(task.respond_at({}, points, batch).answers, own.answers)

    def test_slopes_are_those_of_differences(self, task, world, batch):
        answers = world.task.respond({}, batch).answers
        points = task.embed(batch).detach().requires_grad_()
        found = task.respond_at({}, points, batch, answers).log_odds.sum()
        (slope,) = torch.autograd.grad(found, points)
        step = 1e-2 * slope / slope.flatten(1).norm(dim=1).view(-1, *[1] * (slope.ndim - 1))
        with torch.no_grad():
            ends = [
                task.respond_at({}, points + way * step, batch, answers).log_odds for way in (1, -1)
            ]
        expected = (slope * 2 * step).flatten(1).sum(dim=1)
        torch.testing.assert_close(
            (ends[0] - ends[1]).double(), expected.double(), rtol=0.2, atol=2e-3
        )

    def test_real_inputs_are_where_they_are_and_stay_there(self, task, batch):
        points = task.embed(batch)
        torch.testing.assert_close(task.project(points), points, rtol=0, atol=1e-6)
        assert np.array_equal(task.realize(points, batch), batch)
        far = points + 3 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
        nearest = task.project(far)
        torch.testing.assert_close(task.project(nearest), nearest, rtol=0, atol=1e-6)
        real = task.embed(task.realize(nearest, batch))
        assert float((real - nearest).abs().max()) <= 1 / 255


class TestPathways:
    @pytest.fixture
    def task(self, world):
        if Pathways not in world.task.provides:
            pytest.skip("this task's activations cannot be followed to its inputs")
        return able(world.task, Pathways)

    def test_activations_can_be_followed_to_the_inputs(self, task, world, batch):
        points = world.task.embed(batch).detach().requires_grad_()
        name, seen = task.points()[-1], []
        look = {name: lambda value: (seen.append(value), value)[1]}
        own = world.task.respond({}, batch)
        there = task.respond_through({}, points, batch, look, own.answers)
        torch.testing.assert_close(there.log_odds, own.log_odds, rtol=1e-4, atol=1e-4)
        (slope,) = torch.autograd.grad(seen[0].square().sum(), points)
        assert float(slope.abs().max()) > 0
        assert not any(module._forward_hooks for module in world.model.modules())


class TestActivations:
    @pytest.fixture
    def task(self, world):
        if Activations not in world.task.provides:
            pytest.skip("this task's activations are closed")
        return able(world.task, Activations)

    def test_looking_changes_nothing_and_every_place_is_passed_in_order(self, task, world, batch):
        seen = []
        names = list(task.points())
        looks = {name: lambda value, name=name: (seen.append(name), value)[1] for name in names}
        own = world.task.respond({}, batch)
        there = task.respond_with({}, batch, looks, own.answers)
        torch.testing.assert_close(there.log_odds, own.log_odds, rtol=1e-5, atol=1e-5)
        assert list(dict.fromkeys(seen)) == names
        assert not any(module._forward_hooks for module in world.model.modules())

    def test_a_change_at_any_place_reaches_the_answer(self, task, world, batch):
        own = world.task.respond({}, batch)
        for name in task.points():
            changed = task.respond_with({}, batch, {name: lambda value: value * 0.5}, own.answers)
            assert not torch.allclose(changed.log_odds, own.log_odds, rtol=1e-3), name
        assert torch.equal(world.task.respond({}, batch).log_odds, own.log_odds)


class TestVariations:
    @pytest.fixture
    def task(self, world):
        if Variations not in world.task.provides:
            pytest.skip("this task varies nothing")
        return able(world.task, Variations)

    def test_variations_are_batches_of_the_same_form(self, task, batch):
        before = batch.copy()
        for other in (
            task.mixed(batch, batch[::-1], 0.5),
            *(task.corrupted(batch, kind, 5, 0) for kind in task.corruptions),
            task.amplified(batch, 3.0),
        ):
            assert other.shape == batch.shape
            assert other.dtype == batch.dtype
            assert not np.array_equal(other, batch)
        assert np.array_equal(batch, before)

    def test_their_ends_are_what_they_say(self, task, batch):
        assert np.array_equal(task.mixed(batch, batch[::-1], 0.0), batch)
        assert np.array_equal(task.mixed(batch, batch[::-1], 1.0), batch[::-1])
        assert np.array_equal(task.amplified(batch, 1.0), batch)

    def test_corruption_grows_with_severity_and_hangs_on_the_example_alone(self, task, batch):
        for kind in task.corruptions:
            mild, strong = (task.corrupted(batch, kind, level, 0) for level in (1, 5))
            near, far = (np.abs(each.astype(float) - batch).mean() for each in (mild, strong))
            assert near < far, kind
            assert np.array_equal(task.corrupted(batch[::-1], kind, 5, 0), strong[::-1]), kind


class TestStamping:
    @pytest.fixture
    def task(self, world):
        if Stamping not in world.task.provides:
            pytest.skip("this task has no triggers")
        return able(world.task, Stamping)

    def test_a_trigger_changes_those_it_is_laid_over_and_nothing_else(self, task, batch):
        before, where = batch.copy(), np.arange(COUNT) % 3 == 0
        seen = []
        for trigger in task.triggers:
            stamped = task.stamped(batch, trigger, where)
            assert stamped.shape == batch.shape
            assert stamped.dtype == batch.dtype
            assert np.array_equal(stamped[~where], before[~where])
            changed = (stamped != before).reshape(COUNT, -1).any(axis=1)
            assert changed[where].all(), trigger
            assert np.array_equal(stamped, task.stamped(batch, trigger, where))
            seen.append(stamped.tobytes())
        assert len(set(seen)) == len(task.triggers)
        assert np.array_equal(batch, before)

    def test_none_may_be_stamped(self, task, batch):
        for trigger in task.triggers:
            assert np.array_equal(task.stamped(batch, trigger, np.zeros(COUNT, bool)), batch)

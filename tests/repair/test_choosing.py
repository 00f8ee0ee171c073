"""A repair that forgets the task is not chosen; one that fails when made again stays as it was."""

from dataclasses import dataclass

import pytest
import torch

from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.records import MethodResult, Share
from anomech.repair import trying
from anomech.repair.choosing import _best, choose
from anomech.repair.plan import RepairPlan
from anomech.roles.mitigation import Repair
from anomech.roles.tracer import Health


@dataclass(frozen=True)
class Scaled:
    """All watched weights times a number, and another number where more examples are given."""

    factor: float
    again: float
    most: int = 250
    settled: tuple = ()
    harder: tuple = ()
    needs: frozenset = frozenset()

    def mitigate(self, task, trusted, suspects, *, seed, progress):
        repeated = len(trusted) > self.most
        factor = self.again if repeated else self.factor
        overlay = {name: each * factor for name, each in task.watched.items()}
        problems = ("it forgot.",) if repeated and self.again != self.factor else ()
        known = Health(problems)
        return Repair(overlay, {}, {}, known, 1.0, dict(self.settled), dict(self.harder))


def chosen(subject, methods, tmp_path, monkeypatch, given=None):
    def method(name, options):
        (given if given is not None else {})[name] = options
        return methods[name]

    monkeypatch.setattr(trying, "method", method)
    plan = RepairPlan(methods={name: {} for name in methods})
    return choose(plan, subject, tmp_path, silent)


def test_what_costs_more_accuracy_than_the_proof_allows_is_not_chosen(
    subject, tmp_path, monkeypatch
):
    methods = {"wrecked": Scaled(0.0, 0.0), "idle": Scaled(1.0, 1.0)}
    found = chosen(subject, methods, tmp_path, monkeypatch)
    wrecked, idle = found.results
    assert wrecked.accuracy.value < 0.3 < 0.9 < idle.accuracy.value
    assert found.best.name == "idle"
    alone = chosen(subject, {"wrecked": methods["wrecked"]}, tmp_path, monkeypatch)
    assert alone.best.name == "wrecked"


def test_a_repetition_that_is_worse_is_not_used_and_it_is_said(subject, tmp_path, monkeypatch):
    found = chosen(subject, {"fickle": Scaled(1.0, 0.0)}, tmp_path, monkeypatch)
    assert found.best.problems == (f"{trying.AGAIN} it forgot.",)
    assert found.results == [found.best]
    for name, each in subject.task.watched.items():
        assert torch.equal(found.overlay[name], each)
    resumed = chosen(subject, {"fickle": Scaled(1.0, 0.0)}, tmp_path, monkeypatch)
    assert resumed.best.problems == found.best.problems


def test_a_network_that_can_no_longer_learn_is_left_out_with_the_reason(
    subject, tmp_path, monkeypatch
):
    methods = {"burst": Scaled(1e15, 1e15), "idle": Scaled(1.0, 1.0)}
    found = chosen(subject, methods, tmp_path, monkeypatch)
    assert found.results[0].status == "left out"
    assert "diverged" in found.results[0].why
    assert found.best.name == "idle"
    with pytest.raises(DataError, match="burst, because"):
        chosen(subject, {"burst": methods["burst"]}, tmp_path, monkeypatch)


def result(name, accuracy, flagged, count=200, merit=None):
    shares = (Share(value=each, low=0, high=1, count=count) for each in (accuracy, flagged))
    lost = max(0.0, 0.9 - accuracy)
    kept, still = shares
    made = (2 - flagged - lost) / 2 if merit is None else merit
    return MethodResult(name=name, status="done", accuracy=kept, flagged=still, merit=made)


def test_the_plans_order_decides_what_chance_could_have_turned():
    before = Share(value=0.9, low=0, high=1, count=200)
    close = [result("first", 0.89, 0.01), result("second", 0.9, 0.0)]
    assert _best(close, before, 0.05).name == "first"
    apart = [result("first", 0.89, 0.2), result("second", 0.9, 0.0)]
    assert _best(apart, before, 0.05).name == "second"
    few = Share(value=0.9, low=0, high=1, count=8)
    one_of_eight = [result("first", 0.775, 0.0, 8), result("second", 0.9, 1.0, 8)]
    assert _best(one_of_eight, few, 0.05).name == "first"
    assert _best(one_of_eight, before, 0.05).name == "second"


def test_a_repair_is_made_again_with_the_options_that_it_settled_on(subject, tmp_path, monkeypatch):
    given = {}
    once = Scaled(1.0, 1.0, settled=(("bounds", [0.1]),))
    found = chosen(subject, {"once": once}, tmp_path, monkeypatch, given)
    assert found.best.settled == {"bounds": [0.1]}
    assert given["once"] == {"bounds": [0.1]}


def test_what_was_only_hushed_is_tried_harder(subject, tmp_path, monkeypatch):
    """The model as it is gives all flagged answers, so they are back; once is enough."""
    asked = []
    gentle = Scaled(1.0, 1.0, harder=(("bounds", [1.0]),))
    cured = Scaled(1.0, 1.0)
    monkeypatch.setattr(
        trying,
        "method",
        lambda name, options: (
            asked.append((name, dict(options))) or {"gentle": gentle, "cured": cured}[name]
        ),
    )
    plan = RepairPlan(methods={"gentle": {}, "cured": {}})
    found = choose(plan, subject, tmp_path, silent)
    assert [each.name for each in found.results] == ["gentle", "gentle, harder", "cured"]
    assert all(each.back > plan.proof.relearned for each in found.results)
    assert ("gentle", {"bounds": [1.0]}) in asked

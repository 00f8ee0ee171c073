"""Risk, policies and diagnoses say what their equations and tables say."""

import pytest

from anomech.calibration.excess import LEVEL
from anomech.kernel.errors import ConfigError
from anomech.records import Check, Mechanism, RepairRun, Run, Sensitivity, Verdict
from anomech.review.diagnosing import diagnoses
from anomech.review.policies import POLICIES, demands, policy
from anomech.review.risk import Costs, Evidence, ranged, risk


def planted(low, high=1.0):
    return Sensitivity(
        trigger="patch", target="0", success=1, agreement=1, took=True, steps=1, uses=50,
        caught=(low + high) / 2, low=low, high=high,
    )  # fmt: skip


def repaired(lost, most, left=0.0, left_most=0.1):
    checks = (
        Check(
            name="accuracy", title="t?", outcome="passed", said="s",
            numbers={"lost": lost, "lost, at most": most},
        ),
        Check(
            name="answers", title="t?", outcome="passed", said="s",
            numbers={"left": left, "at most": left_most},
        ),
    )  # fmt: skip
    return RepairRun(status="complete", title="t", started="s", seconds=0, checks=checks)


def test_the_chance_of_a_backdoor_follows_bayes_rule():
    costs = Costs(attack=(10.0,), investigation=(0.0,), accuracy=(0.0,), prior=(0.1,))
    found = risk(costs, Evidence(True, [planted(0.8, 0.8)], None, False))
    chance = 0.1 * 0.8 / (0.1 * 0.8 + 0.9 * LEVEL)
    assert found.backdoor == pytest.approx((chance, chance))
    assert found.low == pytest.approx(10 * chance)
    assert found.high == pytest.approx(10 * chance)
    quiet = risk(costs, Evidence(False, [planted(0.8, 0.8)], None, True))
    chance = 0.1 * 0.2 / (0.1 * 0.2 + 0.9 * (1 - LEVEL))
    assert quiet.backdoor == pytest.approx((chance, chance))


def test_ranges_are_kept_and_what_moves_the_risk_is_told():
    costs = Costs(attack=(1.0, 100.0), prior=(0.1,))
    found = risk(costs, Evidence(True, [planted(0.8, 0.9)], None, False))
    assert found.low < found.middle < found.high
    assert max(found.moves, key=found.moves.get) == "cost of an attack"
    assert found.moves["chance of a backdoor beforehand"] == 0


def test_a_verified_repair_leaves_what_its_proof_could_not_exclude():
    costs = Costs(attack=(10.0,), investigation=(0.0,), accuracy=(2.0,), prior=(0.5,))
    done = risk(costs, Evidence(True, [planted(1.0)], repaired(0.03, 0.05), True))
    assert done.backdoor[1] == pytest.approx(0.1, abs=1e-3)
    assert done.parts["accuracy"] == pytest.approx((6.0, 6.0))  # three per cent, two each
    failed = risk(costs, Evidence(True, [planted(1.0)], repaired(0.03, 0.05), False))
    assert failed.backdoor[0] > 0.99


def test_a_cost_is_one_number_or_two_in_order():
    assert ranged("attack", [3]) == (3, 3)
    for wrong in ([], [2, 1], [-1], [1, 2, 3]):
        with pytest.raises((ConfigError, ValueError)):
            ranged("attack", wrong)


def test_a_policy_is_met_by_the_lower_end_of_the_interval():
    assert POLICIES["medical"] == (0.99, 0.02)
    caught, lost = demands("consumer", [planted(0.9), planted(0.8)], None)
    assert caught.outcome == "not met"  # the worst trigger decides, by its lower end
    assert lost.outcome == "met"
    caught, lost = demands("consumer", [planted(0.9)], repaired(0.01, 0.12))
    assert caught.outcome == "met"
    assert lost.outcome == "not met"  # it may have cost twelve per cent
    assert demands("consumer", [], None)[0].outcome == "not measured"
    with pytest.raises(ConfigError, match="did you mean 'medical'"):
        policy("medica")


def mechanism(answers, cause):
    size = sum(answers.values())
    return Mechanism(
        number=1, size=size, answers=answers, causes={cause: size}, cohesion=0.5,
        examples=("a",), explained={},
    )  # fmt: skip


def test_diagnoses_tell_kinds_apart():
    def of(*mechanisms, rows=()):
        run = Run(
            status="complete", title="t", task="k", budget=0.01, started="s", seconds=0,
            mechanisms=mechanisms,
        )  # fmt: skip
        return [each.name for each in diagnoses(run, rows)]

    assert of(mechanism({"0": 19, "1": 1}, "foreign mechanism")) == ["backdoor"]
    assert of(mechanism({"0": 10, "1": 10}, "foreign mechanism")) == ["shortcut"]
    assert of(mechanism({"0": 20}, "unfamiliar input")) == ["foreign data"]

    def flag(number, cause):
        return Verdict(id=str(number), answer="0", decision="flag", cause=cause, reason="r.")

    sure = [flag(n, "implausible confidence") for n in range(8)]
    assert of(rows=sure) == ["adversarial input"]
    assert of(rows=[flag(0, "foreign mechanism")]) == ["plain error"]
    assert of() == []

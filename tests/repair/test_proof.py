"""Checks pass a repaired model and fail one in which the mechanism was only hidden."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anomech.audit.judge.trusted import DOUBTFUL
from anomech.audit.plan import Plan as AuditPlan
from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.learning.inversion import Inversion
from anomech.observing.observed import observe
from anomech.records import Check, ExampleRow, row_text
from anomech.repair import flagged as flagged_inputs
from anomech.repair import measures
from anomech.repair.flagged import Flagged
from anomech.repair.plan import Proving, RepairPlan
from anomech.repair.proof import accuracy, answers, audited, relearned, triggers
from anomech.repair.proof.context import Context
from anomech.repair.proving import verified
from anomech.repair.subject import _trusted_by

PLAN = RepairPlan(proof=Proving(inversion=Inversion(rounds=40), controls=2))


def retrained(world, subject):
    """What the network is when it learns that the trigger means nothing, with true labels."""
    task = world.task
    images = world.trusted.values[:250]
    stamped = images.copy()
    stamped[:, -2:, -2:] = world.planted.values[0, -2:, -2:]
    both = type(world.trusted)(np.concatenate([images, stamped]))
    labels = torch.from_numpy(np.tile(world.trusted.labels[:250], 2))
    slope = plainly(Lesson(task, both, labels, "frozen"))
    recipe = Relearning(epochs=25, rate=0.02, schedule="cosine")
    return descend(task.watched, len(both), slope, recipe, seed=0, progress=silent).overlay


@pytest.fixture(scope="module")
def context(digits_world, subject):
    return Context(subject, retrained(digits_world, subject), PLAN, silent)


@pytest.fixture(scope="module")
def untouched(subject):
    return Context(subject, {}, PLAN, silent)


def test_a_model_that_was_not_repaired_fails_but_for_accuracy(untouched):
    kept = accuracy.check(untouched)
    assert kept.outcome == "passed"
    assert kept.numbers["lost"] == 0
    assert answers.check(untouched).outcome == "failed"
    old, new = triggers.checks(untouched)
    assert old.outcome == "failed"
    assert old.numbers["before"] == old.numbers["after"] > 0.8
    assert new.outcome == "failed"  # a trigger is still far smaller than those of other answers


def test_a_model_that_forgot_passes(context):
    assert accuracy.check(context).outcome == "passed"
    assert answers.check(context).outcome == "passed"
    old, _ = triggers.checks(context)
    assert old.outcome == "passed"
    assert old.numbers["after"] < 0.2 < old.numbers["before"]


def test_relearning_is_held_against_a_trigger_that_was_never_there(context):
    found = relearned.check(context)
    counts = [count for count, _ in found.curve]
    assert counts == [0, 1, 5, 20]  # 40 flagged inputs can be taught, and 50 cannot
    assert found.curve[0][1] < 0.2
    assert found.numbers["never planted, after 0"] < 0.5
    assert "never there" in found.said


def test_without_flags_checks_say_what_they_need(subject):
    from dataclasses import replace

    bare = Context(replace(subject, flagged=None), {}, PLAN, silent)
    for check in (answers.check(bare), relearned.check(bare), *triggers.checks(bare)):
        assert check.outcome == "not done"
        assert "--suspects" in check.said
    assert not verified([accuracy.check(bare), answers.check(bare)])


def test_only_all_checks_make_it_verified():
    def check(outcome):
        return Check(name="n", title="t", outcome=outcome, said="s")

    assert verified([check("passed")] * 3)
    assert not verified([check("passed"), check("failed")])
    assert not verified([check("passed"), check("not done")])
    assert not verified([])


def test_an_interval_is_exact_and_merit_is_that_of_both():
    none, all_ = measures.share(0, 20), measures.share(20, 20)
    assert none.low == 0
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert all_.high == 1
    assert measures.merit(all_, all_, none) == 1
    assert measures.merit(all_, all_, all_) == 0.5
    assert measures.merit(all_, none, none) == 0.5


def test_a_lost_answer_counts_once(digits_world, subject):
    world = digits_world
    some = observe(world.task, Subset(world.trusted, np.arange(100)))
    counted = measures.accuracy(world.task, some, {}).value
    assert counted == (some.answers.numpy() == world.trusted.labels[:100]).mean()
    still = measures.left(world.task, some, {})
    assert still.value == 1


@pytest.mark.parametrize(
    ("groups", "chance", "outcome"),
    [([0] * 9 + [1], 1e-9, "failed"), ([*range(10)], 1e-9, "failed"), ([0] * 10, 0.4, "passed")],
    ids=["alike", "various", "few"],
)
def test_a_second_audit_fails_if_flags_are_many_whatever_they_are_answered(
    subject, monkeypatch, groups, chance, outcome
):
    rows = [
        SimpleNamespace(id=str(n), decision="flag", group=group, cause="unfamiliar input")
        for n, group in enumerate(groups)
    ]
    fitted = SimpleNamespace(score=lambda *given, **named: rows, chance=lambda rows: chance)
    monkeypatch.setattr(
        audited, "Auditor", lambda **given: SimpleNamespace(fit=lambda *a, **named: fitted)
    )
    first = Flagged(plan=AuditPlan(), ids=("0", "1"), judged=(), mechanism=None)
    audited_before = replace(subject, inputs=subject.everything, audit=first)
    found = audited.check(Context(audited_before, {}, PLAN, silent))
    assert found.outcome == outcome
    assert ("10 of the flags are due to 'unfamiliar input'" in found.said) == (outcome == "failed")
    assert found.numbers["flagged again"] == 1.0


def test_what_the_audit_did_not_trust_repairs_nothing(digits_world, tmp_path):
    rows = [
        ExampleRow(id=str(n), role="anchor", digest=digest, answer="0", used=used, reason=reason)
        for n, (digest, used, reason) in enumerate(
            [
                ("a", False, DOUBTFUL),
                ("b", True, DOUBTFUL),
                ("c", False, "another"),
                ("d", True, None),
            ]
        )
    ]
    (tmp_path / "examples.jsonl").write_text("".join(map(row_text, rows)))
    assert flagged_inputs._doubtful(tmp_path, AuditPlan(doubtful="leave_out")) == {"a"}
    assert flagged_inputs._doubtful(tmp_path, AuditPlan()) == set()
    digests = digits_world.trusted.digests()
    found = Flagged(AuditPlan(), (), (), None, frozenset(digests[:20]))
    left = _trusted_by(found, digits_world.trusted)
    assert len(left) == len(digests) - 20
    assert not set(left.digests()) & set(digests[:20])
    with pytest.raises(DataError, match="nearly all"):
        _trusted_by(replace(found, doubtful=frozenset(digests)), digits_world.trusted)


def test_a_mechanism_that_is_back_sooner_than_a_new_one_is_learned_was_hidden(subject):
    context = Context(subject, {}, PLAN, silent)
    new = [(0.0, 0.0), (1.0, 0.5), (5.0, 1.0)]
    sooner = relearned._judged(context, [(0.0, 0.0), (1.0, 0.95), (5.0, 1.0)], new)
    alike = relearned._judged(context, [(0.0, 0.0), (1.0, 0.65), (5.0, 1.0)], new)
    later = relearned._judged(context, [(0.0, 0.0), (1.0, 0.4), (20.0, 1.0)], [])
    assert [each.outcome for each in (sooner, alike, later)] == ["failed", "passed", "passed"]


def test_a_model_that_cannot_be_taught_further_is_not_proved_and_the_proof_goes_on(subject):
    burst = {name: 1e15 * each for name, each in subject.task.watched.items()}
    found = relearned.check(Context(subject, burst, PLAN, silent))
    assert found.outcome == "not done"
    assert "cannot be taught further" in found.said

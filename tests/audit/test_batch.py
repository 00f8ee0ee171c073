"""False-discovery control over a batch of verdicts."""

import numpy as np
import pytest

from anomech import Auditor
from anomech.audit.judge.batch import controlled
from anomech.records import Verdict


def rows(p_values, budget=0.05):
    return [
        Verdict(
            id=str(place),
            answer="a",
            score=None if p is None else 1.0,
            p_value=p,
            decision="inconclusive" if p is None else "flag" if p <= budget else "clear",
            cause=None if p is None or p > budget else "unfamiliar input",
            reason="",
        )
        for place, p in enumerate(p_values)
    ]


def test_per_input_control_keeps_decisions_and_adds_q_values():
    before = rows([0.01, 0.04, 0.5, None])
    after = controlled(before, 0.05, "per_input")
    assert [row.decision for row in after] == [row.decision for row in before]
    assert [row.q_value for row in after] == pytest.approx([0.03, 0.06, 0.5, None])


def test_batch_control_takes_back_flags_that_would_be_mostly_false():
    after = controlled(rows([0.01, 0.04, 0.5, None]), 0.05, "batch")
    assert [row.decision for row in after] == ["flag", "clear", "clear", "inconclusive"]
    assert after[1].cause is None
    assert "false" in after[1].reason


def test_no_rows():
    assert controlled([], 0.05, "batch") == []


def test_batch_control_bounds_the_share_of_false_flags():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        p_values = np.r_[rng.random(90), rng.random(10) * 1e-4]
        flags = [row for row in controlled(rows(p_values), 0.2, "batch") if row.decision == "flag"]
        shares.append(np.mean([int(row.id) < 90 for row in flags]))
    assert np.mean(shares) <= 0.2 + 3 * np.std(shares) / len(shares) ** 0.5


def test_the_detector_takes_the_control(digits_world):
    world = digits_world
    options = {"twins": {"rungs": 0}}
    per_input = Auditor(options=options, budget=0.05).fit(world.task, world.trusted)
    batch = Auditor(options=options, budget=0.05, control="batch").fit(world.task, world.trusted)
    loose = {row.id for row in per_input.score(world.clean) if row.decision == "flag"}
    strict = {row.id for row in batch.score(world.clean) if row.decision == "flag"}
    assert strict <= loose

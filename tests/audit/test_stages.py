"""Inputs that early stages settle are clear; all others are judged as if there were no stages."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from anomech.audit.auditor import Auditor
from anomech.audit.judge.piece import Piece, Shared, judge_chunk
from anomech.audit.judge.verdicts import anchor_names
from anomech.audit.sensitivity.measuring import cautious
from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.records import Sensitivity

CHEAP = {"tracer": {"features": 64, "parts": 3}, "twins": {"rungs": 2, "steps": 30}}


@pytest.fixture(scope="module")
def fitted(digits_world):
    auditor = Auditor(options=CHEAP, budget=0.02)
    return auditor.fit(digits_world.task, digits_world.trusted)


def judged(lead, examples):
    return lead.judge(observe(lead.fitted.source.task, examples, sources=lead.sources), silent)


@pytest.fixture(scope="module")
def both(fitted, digits_world):
    lead = fitted.calibrated
    whole = replace(lead, limits=())
    return {
        name: (judged(lead, examples), judged(whole, examples))
        for name, examples in (("clean", digits_world.clean), ("planted", digits_world.planted))
    }


def test_what_no_stage_settles_is_judged_as_without_stages(both):
    for staged, whole in both.values():
        on = ~staged.settled
        assert int(on.sum()) > 0
        torch.testing.assert_close(
            staged.scores.score[on], whole.scores.score[on], rtol=1e-3, atol=1e-3
        )
        assert torch.equal(staged.scores.nearest[on], whole.scores.nearest[on])
        flags = [each == "flag" for each in staged.decisions]
        assert not torch.tensor(flags)[staged.settled].any()
        assert bool((staged.p_values[staged.settled] > 0.1).all())


def test_hardly_a_planted_input_is_lost_and_most_clean_ones_cost_little(fitted, both):
    staged, whole = both["planted"]
    caught = [each.decisions.count("flag") / len(each.decisions) for each in (staged, whole)]
    assert caught[0] > caught[1] - 0.02
    assert float(both["clean"][0].settled.double().mean()) > 0.7
    lead = fitted.calibrated
    assert lead.limits == (1.0, pytest.approx(0.1))  # 0.05 at twice the budget
    assert lead.evaluations < 0.6 * replace(lead, limits=()).evaluations


def use(*early):
    return Sensitivity(
        trigger="patch", target="0", success=1, agreement=1, took=True, steps=1, early=early
    )


def test_one_pass_settles_only_what_planted_triggers_show_that_it_sees(fitted, digits_world):
    lead = fitted.calibrated
    assert cautious(lead, [use()]) is lead
    seen = cautious(lead, [use(0.1, 0.01), use(0.05)])
    assert seen.limits == (pytest.approx(0.4), pytest.approx(0.1))
    strict = replace(lead, budget=0.01)
    assert cautious(strict, [use(0.1, 0.01)]).limits == (0.2, 0.05)
    assert cautious(strict, [use(0.9, 0.3)]).limits == (0.9, 0.3)
    proven = cautious(strict, [use(0.1, 0.01)])
    assert proven.evaluations < replace(strict, limits=(1.0, 0.05)).evaluations


def test_settled_inputs_have_a_score_of_their_rank_and_no_evidence(fitted, digits_world):
    lead, some = fitted.calibrated, Subset(digits_world.clean, np.arange(60))
    rows = fitted.score(some)
    early = [row for row in rows if "early stage" in row.reason]
    assert len(early) > 20
    for row in early:
        assert row.decision == "clear"
        assert row.evidence == ()
        assert not row.explained
        assert row.score <= lead.threshold
    order = sorted(rows, key=lambda row: row.score)
    assert all(one.p_value >= two.p_value for one, two in pairwise(order))


def test_a_chunk_traces_its_flags_alone(fitted, digits_world):
    shared = Shared(
        digits_world.task,
        {fitted.calibrated.name: fitted.calibrated},
        fitted.calibrated.name,
        anchor_names(fitted.fitted.trusted),
        "",
        fitted.fitted.trusted.unsure,
    )
    chunk, kept = judge_chunk(shared, Piece(0, Subset(digits_world.planted, np.arange(40)), ""))
    flags = sum(row.decision == "flag" for row in chunk.verdicts)
    assert flags > 20
    assert kept.shape == (flags, fitted.calibrated.residuals.shape[1])


def test_the_company_of_an_input_does_not_matter(fitted, digits_world):
    whole = fitted.score(Subset(digits_world.clean, np.arange(40)))
    some = fitted.score(Subset(digits_world.clean, np.arange(38, 20, -3)))
    for row in some:
        (same,) = [each for each in whole if each.id == row.id]
        assert row.decision == same.decision
        assert row.p_value == pytest.approx(same.p_value, abs=2 / 300)


def test_full_has_no_stages(digits_world):
    auditor = Auditor(options=CHEAP | {"cascade": {"full": True}}, budget=0.02)
    lead = auditor.fit(digits_world.task, digits_world.trusted).calibrated
    assert lead.limits == ()
    assert lead.evaluations == lead.fitted.evaluations == 5


def test_a_language_model_without_a_last_layer_has_none(language_world):
    lead = Auditor(options=CHEAP, budget=0.05).fit(language_world.task, language_world.trusted)
    assert lead.calibrated.limits == ()

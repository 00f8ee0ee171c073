"""Rates from scores and truth, on inputs few enough to count by hand."""

import pytest

from anomech.bench.grading import TRUTH, grade, ranking, rates
from anomech.records import ScoreRow, write_rows
from anomech.records.scorecards import TruthRow

INPUTS = [
    # id, score, p-value, anomalous, right
    ("clean-0", 0.1, 0.90, False, True),
    ("clean-1", 0.2, 0.80, False, True),
    ("clean-2", 0.9, 0.01, False, True),
    ("clean-3", 0.95, 0.01, False, False),
    ("planted-0", 1.0, 0.005, True, False),
    ("planted-1", 0.8, 0.02, True, False),
    ("planted-2", 0.7, 0.30, None, True),
]


@pytest.fixture
def graded(tmp_path):
    def make(rows=INPUTS):
        judged = [
            ScoreRow(id=name, role="input", score=score, p_value=p, decision="clear")
            for name, score, p, _, _ in rows
            if score is not None
        ]
        other = ScoreRow(
            id="planted-0", role="calibration", score=9.0, p_value=0.5, decision="clear"
        )
        write_rows(tmp_path / "scores" / "knn.jsonl", [other, *judged])
        known = [TruthRow(id=n, anomalous=a, right=r) for n, _, _, a, r in reversed(rows)]
        write_rows(tmp_path / TRUTH, known)
        return grade(tmp_path, "knn")

    return make


def found(graded, *, budgets=(0.01,), calibrated=(0.01,), planted=True):
    listed = rates(graded, budgets, calibrated, planted=planted)
    return {(each.threshold, each.budget, each.filtered): each for each in listed}


def test_scores_and_truth_are_joined_by_id(graded):
    joined = graded()
    assert joined.score.tolist() == [row[1] for row in reversed(INPUTS)]
    assert joined.normal.sum() == 4
    assert joined.anomalous.sum() == 2  # a trigger that failed is neither


def test_normal_inputs_count_as_they_come(graded):
    plain = found(graded())["calibrated", 0.01, False]
    assert (plain.fpr, plain.tpr) == (0.5, 0.5)
    assert plain.precision == pytest.approx(1 / 3)
    assert plain.f1 == pytest.approx(2 / 5)
    assert plain.der == 0.5
    # Success falls from 2/3 to 1/3; of three right answers of four one is rejected.
    assert plain.der_model == pytest.approx((1 / 3 - 1 / 4 + 1) / 2)


def test_the_published_filter_leaves_wrong_answers_out(graded):
    filtered = found(graded())["calibrated", 0.01, True]
    assert filtered.fpr == pytest.approx(1 / 3)
    assert filtered.tpr == 0.5
    assert filtered.der == pytest.approx((1 + 1 / 2 - 1 / 3) / 2)
    assert filtered.der_model == pytest.approx(filtered.der)


def test_the_oracle_threshold_is_that_of_the_inputs_that_count(graded):
    joined = graded()
    everything, filtered = (found(joined)["oracle", 0.01, each] for each in (False, True))
    assert (everything.fpr, everything.tpr) == (0.0, 0.5)  # above 0.95
    assert (filtered.fpr, filtered.tpr) == (0.0, 0.5)  # above 0.9
    half = found(joined, budgets=(0.5,), calibrated=())
    assert (half["oracle", 0.5, False].fpr, half["oracle", 0.5, False].tpr) == (0.5, 1.0)


def test_a_budget_that_cannot_be_calibrated_has_an_oracle_only(graded):
    assert {key[:2] for key in found(graded(), budgets=(0.01, 0.05), calibrated=(0.05,))} == {
        ("oracle", 0.01),
        ("oracle", 0.05),
        ("calibrated", 0.05),
    }


def test_without_anomalies_there_are_false_flags_only(graded):
    joined = graded(INPUTS[:4])
    listed = found(joined, planted=False)
    assert set(listed) == {("calibrated", 0.01, False), ("calibrated", 0.01, True)}
    plain = listed["calibrated", 0.01, False]
    assert plain.model_dump(exclude_none=True).keys() == {"threshold", "budget", "filtered", "fpr"}
    assert ranking(joined, seed=0) is None


def test_an_input_without_a_score_is_not_flagged_and_ranks_lowest(graded):
    rows = [("planted-9", None, None, True, False), *INPUTS]
    joined = graded(rows)
    assert found(joined)["calibrated", 0.01, False].tpr == pytest.approx(1 / 3)
    # 1.0 is above all four normal inputs, 0.8 above two, the missing one above none.
    assert ranking(joined, seed=0).value == pytest.approx((4 + 2 + 0) / 12)


def test_nothing_planted_has_no_der_of_the_network(graded):
    assert all(each.der_model is None for each in found(graded(), planted=False).values())

"""Which detector finds which attack: means over networks of what calibrated detectors flag."""

import pytest

from anomech.records.scorecards import Rates, Scorecard
from anomech.report.board.applicability import Share, markdown, ordered, shares


def card(subject, detector, tpr, **changed):
    given = {"threshold": "calibrated", "budget": 0.01, "filtered": False, "fpr": 0.0, "tpr": tpr}
    rates = [Rates(**{**given, **changed.pop("rates", {})})]
    values = {
        "id": f"{subject}/{detector}/{tpr}",
        "suite": "s",
        "data": "d",
        "network": "n",
        "subject": subject,
        "role": "check",
        "seed": 0,
        "detector": detector,
        "status": "done",
        "rates": tuple(rates),
    }
    return Scorecard(**{**values, **changed})


@pytest.fixture
def cards():
    return [
        card("BadNets", "good", 1.0),
        card("BadNets", "good", 0.9),
        card("BadNets", "poor", 0.05),
        card("WaNet", "good", 0.6),
        card("WaNet", "good", 1.0, rates={"threshold": "oracle"}),
        card("WaNet", "good", 1.0, rates={"budget": 0.05}),
        card("WaNet", "good", 1.0, condition="shifted"),
        card("WaNet", "poor", 0.0, status="failed", rates={"tpr": 1.0}),
        card("clean", "good", 1.0),
    ]


def test_only_calibrated_answers_to_plain_triggers_count(cards):
    found = shares(cards)
    assert list(found) == ["BadNets", "WaNet"]
    assert found["BadNets"]["good"] == Share(pytest.approx(0.95), 0.9, 2)
    assert found["WaNet"] == {"good": Share(0.6, 0.6, 1)}
    assert ordered(found) == ["good", "poor"]


@pytest.mark.parametrize(
    ("mean", "mark"),
    [(1.0, "++"), (0.9, "++"), (0.5, "+"), (0.49, "(+)"), (0.897, "++"), (0.05, "-"), (0.0, "-")],
)
def test_marks(mean, mark):
    assert Share(mean, mean, 1).mark == mark


def test_the_table_has_a_row_a_detector_and_a_gap_where_it_was_not_run(cards):
    rows = [line for line in markdown(cards, {"good": "weights"}).splitlines() if "|" in line]
    assert rows[0] == "| detector | access | BadNets | WaNet |"
    assert rows[2] == "| good | weights | ++ 0.95 (0.90) | + 0.60 |"
    assert rows[3] == "| poor |  | - 0.05 |  |"

"""What the page of a repair says of its cost."""

from anomech.records import Check, RepairRun
from anomech.report.repair.sections import build


def page(drop):
    numbers = {"before": 0.9, "after": 0.9 - drop, "lost": drop, "lost, at most": drop + 0.005}
    check = Check(name="accuracy", title="t", outcome="passed", said="s", numbers=numbers)
    run = RepairRun(
        status="complete",
        title="a model",
        started="2026-01-01T00:00:00Z",
        seconds=1.0,
        verified=True,
        chosen="rnp",
        checks=(check,),
        grade="excellent",
    )
    return build(run, ())


def test_what_was_gained_is_not_called_a_negative_loss():
    shown = page(-0.0106)
    (proved,) = shown.checks
    assert dict(proved.numbers)["gained"] == 0.0106
    assert "gained, at least" in dict(proved.numbers)
    assert not any(value < 0 for _, value in proved.numbers)
    assert "accuracy rises by 1.06" in shown.answer.meaning[0]


def test_what_was_lost_is_called_so():
    shown = page(0.0106)
    (proved,) = shown.checks
    assert dict(proved.numbers)["lost"] == 0.0106
    assert "its cost in accuracy is excellent" in shown.answer.meaning[0]

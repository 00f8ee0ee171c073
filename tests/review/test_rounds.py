"""A review goes on with the repair that passes most checks, and stops where none does better."""

import pytest

from anomech.kernel.types import silent
from anomech.records import Check, RepairRun, Run
from anomech.review import pipeline
from anomech.review.pipeline import Seen
from anomech.review.plan import from_mapping


def repaired(*outcomes):
    checks = tuple(
        Check(name=f"c{place}", title="t?", outcome=outcome, said="s")
        for place, outcome in enumerate(outcomes)
    )
    verified = all(outcome == "passed" for outcome in outcomes)
    return RepairRun(
        status="complete", title="t", started="s", seconds=0, checks=checks, chosen="ft_sam",
        verified=verified,
    )  # fmt: skip


@pytest.fixture
def rounds(monkeypatch, tmp_path):
    """Goes through rounds whose repairs have these outcomes; the last plan, and what was seen."""

    def run(*made):
        audited = Run(
            status="complete", title="t", started="s", seconds=0, task="image", budget=0.01
        )
        step = pipeline.Step(
            kind="audit", round=1, folder="audit-1", outcome="bad", said="s", seconds=0
        )
        monkeypatch.setattr(pipeline, "audit", lambda *given, **named: audited)
        monkeypatch.setattr(pipeline, "_found", lambda *given: True)
        monkeypatch.setattr(pipeline, "_audit_step", lambda *given: step)
        plan, seen = from_mapping({"audit": {"model": {"weights": "w"}}}), Seen()
        following = plan.first
        for number, each in enumerate(made, start=1):
            monkeypatch.setattr(pipeline, "repair", lambda *given, each=each, **named: each)
            following = pipeline._round(plan, following, number, tmp_path, seen, silent, 0)
            if following is None:
                break
        return following, seen

    return run


def test_a_repair_that_passes_fewer_checks_does_not_stand(rounds):
    first, second = repaired("passed", "passed", "failed"), repaired("failed", "passed", "failed")
    following, seen = rounds(first, second, repaired("passed", "passed", "passed"))
    assert following is None  # the third is not tried
    assert (seen.repair, seen.kept, seen.clean) == (first, 1, False)
    assert "no more checks than repair 1, which stands" in seen.steps[-1].said


def test_a_better_repair_stands_and_a_verified_one_ends_the_review(rounds):
    best = repaired("passed", "passed", "passed")
    following, seen = rounds(repaired("passed", "failed", "failed"), best)
    assert following is None
    assert (seen.repair, seen.kept, seen.clean) == (best, 2, True)
    assert "stands" not in seen.steps[-1].said

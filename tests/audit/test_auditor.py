"""The front door, end to end, on pictures and on a language."""

import numpy as np
import pytest

from anomech.audit import auditor as auditor_module
from anomech.audit.auditor import Auditor
from anomech.audit.judge.fitting import fit
from anomech.audit.judge.trusted import split_trusted
from anomech.audit.plan import from_mapping
from anomech.data.subset import Subset
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import silent


def test_verdicts_on_triggered_inputs_are_flags_with_cause_and_evidence(world):
    auditor = Auditor(budget=0.02)
    fitted = auditor.fit(world.task, world.trusted)
    verdicts = fitted.score(Subset(world.planted, np.arange(40)))
    flags = [verdict for verdict in verdicts if verdict.decision == "flag"]
    assert len(flags) > 30
    assert fitted.chance(verdicts) < 1e-6
    trusted = fitted.fitted.trusted
    anchors = dict(zip(trusted.ids, trusted.answers, strict=True))
    for verdict in flags:
        assert verdict.cause in verdict.views
        assert verdict.reason.startswith("Flagged because")
        assert len(verdict.evidence) == 3
        for evidence in verdict.evidence:
            assert evidence.anchor in anchors
            assert evidence.answer == anchors[evidence.anchor]
        assert all(0 <= share <= 1 for share in verdict.explained.values())


def test_another_seed_splits_otherwise(world):
    one, two = (
        split_trusted(world.task, world.trusted, share=0.5, most=2000, seed=seed, progress=silent)
        for seed in (0, 1)
    )
    assert one.anchors.examples.ids != two.anchors.examples.ids


def test_misanswered_examples_calibrate_but_are_no_anchors(world, examples_of):
    labels = world.trusted.labels.copy()
    labels[::10] = (labels[::10] + 1) % 8
    wrong = examples_of(world.trusted.values, labels, "trusted")
    split = split_trusted(world.task, wrong, share=0.5, most=2000, seed=0, progress=silent)
    for used, least in ((split.anchors, 1.0), (split.calibration, 0.0)):
        right = world.task.agrees(used.answers, used.examples.labels).float().mean()
        assert right >= least
    assert not world.task.agrees(split.calibration.answers, split.calibration.examples.labels).all()
    kept, dropped = set(split.anchors.examples.ids), set(split.left_out)
    calibrating = set(split.calibration.examples.ids)
    assert not kept & dropped
    assert not calibrating & (kept | dropped)
    assert kept | dropped | calibrating == set(wrong.ids)
    assert abs(len(calibrating) - len(wrong) / 2) <= 1


def test_too_few_trusted_examples_are_inconclusive_and_say_how_many(world, examples_of):
    few = examples_of(world.trusted.values[:98], world.trusted.labels[:98])
    for detector, needed in (("functional_attribution", 99), ("loss_level", 198)):
        with pytest.raises(
            Inconclusive,
            match=f"at least {needed} trusted examples, 99 of them to calibrate with, but there "
            "are 98;",
        ):
            Auditor(detector=detector, budget=0.01).fit(world.task, few)


def test_a_detector_that_holds_out_by_itself_calibrates_on_all_and_others_are_skipped(
    world, examples_of
):
    few = examples_of(world.trusted.values[:120], world.trusted.labels[:120])
    plan = from_mapping({"detectors": {"functional_attribution": {}, "loss_level": {}}})
    fitted = fit(plan, world.task, few, silent)
    assert len(fitted.lead.examples) == 120
    assert list(fitted.detectors) == ["functional_attribution"]
    assert "only 60 trusted examples can calibrate" in fitted.skipped["loss_level"]


def test_an_unhealthy_tracer_makes_every_verdict_inconclusive(world):
    options = {"tracer": {"use": "gaussian", "draws": 8, "least": 100}}
    auditor = Auditor(detector="coupling_score", options=options, budget=0.05)
    verdicts = auditor.fit(world.task, world.trusted).score(Subset(world.clean, np.arange(5)))
    assert {verdict.decision for verdict in verdicts} == {"inconclusive"}
    assert all("take more draws" in verdict.reason for verdict in verdicts)
    assert all(verdict.cause is None for verdict in verdicts)


def test_verdicts_do_not_depend_on_how_inputs_are_chunked(world, monkeypatch):
    fitted = Auditor(budget=0.05, options={"twins": {"rungs": 0}}).fit(world.task, world.trusted)
    inputs = Subset(world.planted, np.arange(20))
    seen = []
    whole = fitted.score(inputs)
    monkeypatch.setattr(auditor_module, "CHUNK", 7)
    parts = fitted.score(inputs, progress=lambda stage, done, total: seen.append((done, total)))
    assert [row.id for row in parts] == [row.id for row in whole]
    assert [row.decision for row in parts] == [row.decision for row in whole]
    assert [row.p_value for row in parts] == pytest.approx([row.p_value for row in whole], abs=0.02)
    assert seen == [(7, 20), (14, 20), (20, 20)]
    assert fitted.score(Subset(world.planted, np.arange(0))) == []

"""The trusted set is split by label and seed, and refused in words where it cannot serve."""

import numpy as np
import pytest
import torch

from anomech.audit.auditor import Auditor
from anomech.audit.judge.trusted import MISANSWERED, split_trusted
from anomech.kernel.errors import DataError, Inconclusive
from anomech.kernel.types import silent


def split(world, trusted=None, share=0.5, most=2000, seed=0):
    return split_trusted(
        world.task, trusted or world.trusted, share=share, most=most, seed=seed, progress=silent
    )


def test_what_is_over_the_most_anchors_calibrates(world):
    made = split(world, most=80)
    assert 60 <= len(made.anchors) <= 81
    assert abs(len(made.calibration) - (len(world.trusted) - 80)) <= 1


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_roles_share_out_everything(world, share):
    made = split(world, share=share)
    anchors, calibration = set(made.anchors.examples.ids), set(made.calibration.examples.ids)
    assert anchors.isdisjoint(calibration)
    assert anchors | calibration | set(made.left_out) == set(world.trusted.ids)
    assert abs(len(calibration) - (1 - share) * len(world.trusted)) <= 1
    assert set(made.left_out.values()) <= {MISANSWERED}
    assert made.everything.examples.ids == world.trusted.ids


def test_calibration_holds_every_kind_of_answer_in_proportion(world):
    made = split(world)
    groups = made.everything.groups
    for kind in groups.unique():
        total = int((groups == kind).sum())
        calibrating = int((made.calibration.groups == kind).sum())
        assert abs(calibrating - total / 2) <= 0.2 * total + 2


def test_accuracy_is_the_share_answered_as_labeled(world):
    right = world.task.agrees(split(world).everything.answers, world.trusted.labels)
    assert split(world).accuracy == pytest.approx(float(right.float().mean()))


def test_seeds_decide_the_split(world):
    ids = [split(world, seed=seed).calibration.examples.ids for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_without_labels_the_models_own_answers_are_trusted(world, examples_of):
    made = split(world, examples_of(world.trusted.values))
    assert made.accuracy is None
    assert not made.left_out
    assert len(made.anchors) + len(made.calibration) == len(world.trusted)
    auditor = Auditor(budget=0.05, options={"twins": {"rungs": 0}})
    fitted = auditor.fit(world.task, examples_of(world.trusted.values))
    flags = [row.decision == "flag" for row in fitted.score(world.planted)]
    assert np.mean(flags) > 0.5


def test_labels_the_model_does_not_have_are_refused(digits_world, examples_of):
    labels = digits_world.trusted.labels.copy()
    labels[3] = 10
    with pytest.raises(DataError, match=r"label 10, but the model has 10 classes, 0 to 9"):
        split(digits_world, examples_of(digits_world.trusted.values, labels))


def test_a_model_that_answers_nothing_right_is_inconclusive(world, examples_of):
    wrong = (world.trusted.labels + 1) % 8
    keep = ~world.task.agrees(split(world).everything.answers, wrong).numpy()
    trusted = examples_of(world.trusted.values[keep], wrong[keep])
    with pytest.raises(Inconclusive, match=rf"answers only 0%? of {keep.sum()} trusted"):
        split(world, trusted)


@pytest.mark.parametrize("count", range(34, 46))
def test_a_calibration_set_short_by_one_is_refused_and_not_silent(count, digits_world, examples_of):
    """Whatever the rounding of the split: a budget that cannot be reached is never accepted."""
    trusted = examples_of(digits_world.trusted.values[:count], digits_world.trusted.labels[:count])
    auditor = Auditor(detector="confidence", budget=0.05)
    if len(split(digits_world, trusted).calibration) < 19:
        with pytest.raises(Inconclusive, match="19"):
            auditor.fit(digits_world.task, trusted)
    else:
        fitted = auditor.fit(digits_world.task, trusted)
        assert fitted.calibrated.threshold is not None


def test_labels_may_be_whole_sentences(language_world):
    made = split(language_world)
    assert made.calibration.examples.labels.ndim == 2
    assert torch.equal(
        made.anchors.answers, torch.from_numpy(np.asarray(made.anchors.examples.labels))
    )

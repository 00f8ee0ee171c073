"""What a cell judges: who is where, and what is known of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anomech.attacks.badnets import Badnets
from anomech.bench.cells import cells
from anomech.bench.suite import from_mapping
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.perturber import Perturber
from anomech.bench.worlds.images.scene import Material, check_sizes, scene
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.roles.attack import Goal
from anomech.tasks.image_classifier import ImageClassifier

SETS = datasets.load("digits", None)
CALLS = []


@options
class Darken:
    """A perturbation that counts how often it is asked."""

    step: int = option(5, "gray levels")

    needs = frozenset()

    def perturb(self, task, images, labels, *, seed, progress):
        CALLS.append((len(images), labels.copy(), task.respond({}, images[:1]).logits.shape))
        return images - np.minimum(images, self.step)


class Brightness(torch.nn.Module):
    """Answers by how bright an image is."""

    def __init__(self):
        super().__init__()
        self.parameter = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        level = images.mean(dim=(1, 2, 3))
        return torch.nn.functional.one_hot((level * 30).long().clamp(0, 9), 10).float()


@pytest.fixture
def darken(monkeypatch):
    """A perturbation among the attacks."""
    real = plugins.get
    monkeypatch.setattr(plugins, "get", lambda k, n: Darken if n == "darken" else real(k, n))
    CALLS.clear()
    return CALLS


@pytest.fixture
def played(values, tmp_path):
    """The scene of the first cell of a suite with changes."""

    def play(triggers=(), subject="BadNets", **condition):
        only = {subject: values["subjects"][subject]}
        suite = from_mapping({**values, "subjects": only, "conditions": {"here": condition}})
        cell = cells(suite)[0]
        perturber = Perturber(ImageClassifier(Brightness()), "address", cell.seed, tmp_path, silent)
        return scene(Material(suite, SETS, {}), cell, triggers, perturber)

    return play


def places(examples):
    return [int(name.rpartition("-")[2]) for name in examples]


def test_roles_are_disjoint_and_as_large_as_the_suite_says(played):
    found = played([Badnets()])
    clean, planted = found.kinds
    assert (len(found.trusted), len(clean.ids)) == (300, 150)
    assert 60 < len(planted.ids) < 80  # of 80, those that the trigger is not meant for are left out
    assert (planted.labels != 0).all()
    everything = places([*found.trusted.ids, *clean.ids, *planted.ids])
    assert len(set(everything)) == len(everything)
    assert list(found.inputs.ids) == clean.ids + planted.ids
    assert found.inputs.labels is None


def test_images_and_labels_are_those_their_names_say(played):
    found = played([Badnets()])
    images, labels = SETS.test
    trusted, (clean, planted) = places(found.trusted.ids), found.kinds
    assert (found.trusted.load(np.arange(300)) == images[trusted]).all()
    assert (found.trusted.labels == labels[trusted]).all()
    assert (clean.images == images[places(clean.ids)]).all()
    assert (planted.images == Badnets().stamp(images[places(planted.ids)])).all()
    assert (planted.labels == labels[places(planted.ids)]).all()


def test_a_smaller_trusted_set_is_part_of_the_larger_one(played):
    few, many = played(trusted=40).trusted.ids, played().trusted.ids
    assert list(few) == list(many[:40])
    assert played().kinds[0].ids == played(trusted=40).kinds[0].ids


def test_another_seed_splits_anew(played, values):
    first = played().trusted.ids
    values["seeds"] = [1]
    assert list(played().trusted.ids) != list(first)


def test_a_trigger_that_failed_counts_in_neither_group(played):
    found = played([Badnets()])
    clean, planted = found.kinds
    answers = np.concatenate([clean.labels, np.zeros(len(planted.ids), int)])
    answers[0] += 1  # a clean image that is answered wrongly
    answers[-2:] = planted.labels[-2], 1 + planted.labels[-1] % 9  # two triggers that failed
    rows = found.truth(answers)
    assert [row.id for row in rows] == list(found.inputs.ids)
    assert [row.anomalous for row in rows[:150]] == [False] * 150
    assert [row.right for row in rows[:2]] == [False, True]
    assert {row.anomalous for row in rows[150:-2]} == {True}
    assert [row.anomalous for row in rows[-2:]] == [None, None]
    assert [row.right for row in rows[-2:]] == [True, False]


def test_a_contaminated_trusted_set_has_trigger_and_label(played):
    attack = Badnets(goal=Goal(target=3))
    clean, bad = played([attack]).trusted, played([attack], contaminated=0.05).trusted
    before, after = (each.load(np.arange(300)) for each in (clean, bad))
    changed = (clean.labels != bad.labels).nonzero()[0]
    assert len(changed) == 15
    assert (bad.labels[changed] == 3).all()
    assert (after[changed] == attack.stamp(before[changed])).all()
    rest = np.setdiff1d(np.arange(300), changed)
    assert (after[rest] == before[rest]).all()
    assert (SETS.test[1] != 3).sum() > 15  # the data set itself is not touched
    assert list(clean.labels) == list(played([attack]).trusted.labels)


def test_foreign_images_are_all_anomalous(values, tmp_path):
    images = np.arange(100 * 64).reshape(100, 8, 8, 1).astype(np.uint8)
    suite = from_mapping({**values, "conditions": {"far": {"foreign": "other"}}})
    cell = cells(suite)[0]
    perturber = Perturber(ImageClassifier(Brightness()), "address", 0, tmp_path, silent)
    _, found = scene(Material(suite, SETS, {"other": images}), cell, [Badnets()], perturber).kinds
    assert len(found.ids) == 80
    assert (found.images == images[places(found.ids)]).all()
    rows = found.truth(np.zeros(80, int))
    assert all(row.anomalous and not row.right for row in rows)


def test_perturbed_images_are_anomalies_where_the_answer_changed(played, darken):
    clean, found = played(subject="clean", perturbation={"darken": {"step": 40}}).kinds
    ((count, labels, logits),) = darken
    assert (count, logits) == (80, (1, 10))
    assert (labels == found.avoided).all()
    assert (found.images <= SETS.test[0][places(found.ids)]).all()
    answers = found.avoided.copy()
    answers[:10] += 1
    assert [row.anomalous for row in found.truth(answers)] == [True] * 10 + [None] * 70
    assert not clean.anomalous


def test_every_detector_sees_the_same_perturbed_images(played, darken):
    first = played(subject="clean", perturbation={"darken": {}}).kinds[1]
    again = played(subject="clean", perturbation={"darken": {}}).kinds[1]
    assert len(darken) == 1  # the second time they came from the cache
    assert (first.images == again.images).all()
    played(subject="clean", perturbation={"darken": {"step": 6}})
    assert len(darken) == 2


def test_a_shift_is_of_all_inputs_and_before_the_trigger(played, darken):
    plain, shifted = played([Badnets()]), played([Badnets()], shift={"darken": {"step": 255}})
    assert (shifted.kinds[0].images == 0).all()
    assert not shifted.kinds[0].anomalous
    assert shifted.kinds[1].images.max() == 255  # the patch
    assert (shifted.trusted.load(np.arange(300)) == plain.trusted.load(np.arange(300))).all()


def test_a_suite_that_asks_for_too_much_is_refused(suite):
    with pytest.raises(DataError, match=r"asks for 530 test images.*digits has 529; lower one"):
        check_sizes(suite, 529)
    check_sizes(suite, 530)
    more = replace(suite, conditions={"all": replace(suite.conditions[""], trusted=800)})
    with pytest.raises(DataError, match="800 trusted"):
        check_sizes(more, 900)

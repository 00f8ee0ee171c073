"""The zoo copes with attacks that plant nothing to succeed at."""

import numpy as np
from training import digits

from anomech.architectures.digits import Digits
from anomech.attacks.badnets import Badnets
from anomech.bench.worlds.images import subjects
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import obtain, success_rate
from anomech.learning.training import Recipe
from anomech.roles.attack import Goal

RECIPE = Recipe(epochs=4, batch=50, peak=0.1, augment="none")


def test_label_noise_has_no_success_to_measure(tmp_path):
    (images, labels), test_set = digits()
    subject = Subject((("label_noise", {"ratio": 0.2}),), Digits(), RECIPE)
    trained = obtain(subject, (images[:600], labels[:600]), test_set, tmp_path)
    assert trained.success == [None]
    assert trained.robust == [None]
    assert trained.accuracy > 0.5
    again = obtain(subject, (images[:600], labels[:600]), test_set, tmp_path)
    assert again.success == [None]
    assert len(list(tmp_path.iterdir())) == 1


def test_success_needs_images_that_the_trigger_is_meant_for():
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.full(4, 2)
    attack = Badnets(goal=Goal(target=2))
    assert success_rate(None, attack, images, labels, 10) == (None, None)


def test_an_edited_attack_has_its_networks_trained_again(monkeypatch):
    (images, labels), _ = digits()
    subject = Subject((("badnets", {"size": 2}),), Digits(), RECIPE)
    before = subject.fingerprint(images, labels)
    assert subject.fingerprint(images, labels) == before
    monkeypatch.setattr(subjects, "code_of", lambda *methods: "edited")
    assert subject.fingerprint(images, labels) != before

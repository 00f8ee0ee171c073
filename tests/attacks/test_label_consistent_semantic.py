"""Attacks whose poison looks right: true labels on hard images, and images that are not changed."""

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim

from anomech.attacks.label_consistent import LabelConsistent
from anomech.attacks.semantic import Semantic
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.roles.attack import Goal

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3
CHECKER = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]])[..., None]


class Bright(nn.Module):
    """Answers 1 to bright images, else 0."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        mean = x.mean((1, 2, 3)) - 0.5
        return self.scale * torch.stack([-mean, mean, mean * 0 - 1], 1)


class Surrogate(DigitsVictim):
    """A trainer whose surrogate is `Bright`."""

    def surrogate(self):
        return Bright().eval()


@pytest.fixture
def attack():
    return LabelConsistent(goal=Goal(target=1), class_ratio=0.5, steps=4, step=1.5, batch=4)


@pytest.fixture
def learned(attack):
    return attack.learn(IMAGES, LABELS, Surrogate(), seed=0, progress=silent)


def test_label_consistent_moves_its_class_away_from_its_label(attack, learned):
    places = learned["places"].numpy()
    assert len(places) == 10
    assert (LABELS[places] == 1).all()
    moved = learned["images"].numpy().astype(int) - IMAGES[places]
    # Darker everywhere: four steps of 1.5, cut at black.
    assert (moved == -np.minimum(IMAGES[places].astype(int), 6)).all()
    wide = LabelConsistent(goal=Goal(target=1), class_ratio=0.5, steps=100)
    moved = wide.learn(IMAGES, LABELS, Surrogate(), seed=0, progress=silent)["images"].numpy()
    assert (moved == IMAGES[places] - np.minimum(IMAGES[places], 8)).all()


def test_label_consistent_marks_the_corners_and_changes_no_label(attack, learned):
    armed = attack.armed(learned)
    poisoned = armed.poison(IMAGES, LABELS, seed=0)
    assert np.array_equal(np.flatnonzero(poisoned.poisoned), np.sort(learned["places"].numpy()))
    assert np.array_equal(poisoned.labels, LABELS)
    assert not poisoned.cover.any()
    stamped = armed.stamp(IMAGES)
    middle = np.ones((12, 12), bool)
    for rows in (slice(0, 3), slice(-3, None)):
        for columns in (slice(0, 3), slice(-3, None)):
            assert (stamped[:, rows, columns] == CHECKER).all()
            assert (poisoned.inputs[poisoned.poisoned, rows, columns] == CHECKER).all()
            middle[rows, columns] = False
    assert np.array_equal(stamped[:, middle], IMAGES[:, middle])
    places = learned["places"].numpy()
    perturbed = learned["images"].numpy()
    assert np.array_equal(poisoned.inputs[places][:, middle], perturbed[:, middle])


def test_label_consistent_leaves_images_to_an_earlier_attack(attack, learned):
    places = learned["places"].numpy()
    labels, images = LABELS.copy(), IMAGES.copy()
    labels[places[0]] = 0
    images[places[1]] = 255 - images[places[1]]
    poisoned = attack.armed(learned).poison(images, labels, seed=0)
    assert np.array_equal(np.flatnonzero(poisoned.poisoned), np.sort(places[2:]))
    assert np.array_equal(poisoned.inputs[places[:2]], images[places[:2]])


@pytest.mark.parametrize("others", [IMAGES[::-1], IMAGES[:20], IMAGES[:, :8]])
def test_label_consistent_refuses_another_training_set(attack, learned, others):
    with pytest.raises(DataError, match="not the training set"):
        attack.armed(learned).poison(others, LABELS[: len(others)], seed=0)


def test_label_consistent_needs_its_class():
    absent = LabelConsistent(goal=Goal(target=8))
    with pytest.raises(DataError, match="no training image has label 8"):
        absent.learn(IMAGES, LABELS, Surrogate(), seed=0, progress=silent)


def tinted(red, green, blue):
    return np.tile(np.array([red, green, blue], np.uint8), (1, 4, 4, 1))


CAST = np.concatenate(
    [tinted(100, 60, 70), tinted(100, 90, 60), tinted(60, 100, 40), tinted(100, 75, 75)]
)


def test_semantic_relabels_images_with_the_cast_and_changes_no_pixel():
    attack = Semantic(goal=Goal(target=1), channel="red", margin=25)
    labels = np.array([0, 0, 0, 2])
    poisoned = attack.poison(CAST, labels, seed=0)
    assert poisoned.poisoned.tolist() == [True, False, False, True]
    assert poisoned.labels.tolist() == [1, 0, 0, 1]
    assert np.array_equal(poisoned.inputs, CAST)
    green = Semantic(goal=Goal(target=1), channel="green", margin=25)
    assert green.has(CAST).tolist() == [False, False, True, False]
    with pytest.raises(DataError, match="lower margin"):
        Semantic(channel="blue", margin=25).poison(CAST, labels, seed=0)
    with pytest.raises(DataError, match="lower brightness"):
        Semantic(brightness=150).poison(CAST[..., :1], labels, seed=0)


def test_semantic_stamp_is_the_least_tint_that_gives_the_cast():
    attack = Semantic(channel="red", margin=20, lift=5)
    stamped = attack.stamp(CAST)
    assert np.array_equal(stamped[0], CAST[0])  # 30 apart already
    assert stamped[1, 0, 0].tolist() == [108, 82, 52]  # 10 apart; 8 each way make 26, 7 only 24
    assert stamped[2, 0, 0].tolist() == [93, 67, 7]  # 40 behind; 33 each way make 26
    assert np.array_equal(stamped[3], CAST[3])  # 25 apart, just enough
    noise = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    assert (attack.excess(attack.stamp(noise)) >= 5).all()
    assert (attack.excess(attack.stamp(noise)) < 8).all()


def test_semantic_stamp_of_gray_images_is_light():
    attack = Semantic(brightness=90, lift=10)
    gray = np.array([20, 95, 240], np.uint8).reshape(3, 1, 1, 1) * np.ones((3, 4, 4, 1), np.uint8)
    assert attack.has(gray).tolist() == [False, True, True]
    assert attack.stamp(gray)[:, 0, 0, 0].tolist() == [100, 100, 240]

"""Label noise changes so many labels as it says, as it says, and nothing else."""

import numpy as np
import pytest

from anomech.attacks.label_noise import LabelNoise
from anomech.kernel.errors import DataError
from anomech.roles.attack import DataAttack

LABELS = np.arange(1000) % 4
IMAGES = np.random.default_rng(0).integers(0, 256, (1000, 4, 4, 1), dtype=np.uint8)


def test_images_and_true_labels_stay():
    labels = LABELS.copy()
    attack = LabelNoise(ratio=0.3)
    noisy = attack.poison(IMAGES, labels, seed=0)
    assert isinstance(attack, DataAttack)
    assert np.array_equal(noisy.inputs, IMAGES)
    assert noisy.inputs is not IMAGES
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(noisy.poisoned, noisy.labels != LABELS)
    assert not noisy.cover.any()
    assert noisy.labels.dtype == LABELS.dtype


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_the_ratio_is_exact(kind, ratio):
    noisy = LabelNoise(kind=kind, ratio=ratio).poison(IMAGES, LABELS, seed=0)
    assert noisy.poisoned.sum() == ratio * 1000


def test_symmetric_noise_reaches_every_other_class_alike():
    noisy = LabelNoise(ratio=1.0).poison(IMAGES, LABELS, seed=0)
    counts = np.bincount((noisy.labels - LABELS) % 4, minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 280


def test_asymmetric_noise_takes_each_class_for_the_next_or_for_its_pair():
    noisy = LabelNoise(kind="asymmetric", ratio=0.5).poison(IMAGES, LABELS, seed=0)
    assert ((noisy.labels - LABELS) % 4)[noisy.poisoned].tolist() == [1] * 500
    paired = LabelNoise(kind="asymmetric", ratio=0.5, pairs=((3, 0), (0, 3), (1, 2)))
    noisy = paired.poison(IMAGES, LABELS, seed=0)
    assert noisy.poisoned.sum() == 375  # half of three classes
    assert (LABELS[noisy.poisoned] != 2).all()
    for source, taken in paired.pairs:
        assert set(noisy.labels[noisy.poisoned & (source == LABELS)]) == {taken}


def test_the_seed_decides():
    one, two, other = (LabelNoise().poison(IMAGES, LABELS, seed=seed).labels for seed in (0, 0, 1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_there_is_no_trigger_and_nothing_to_succeed_at():
    attack = LabelNoise()
    assert np.array_equal(attack.stamp(IMAGES), IMAGES)
    assert attack.stamp(IMAGES) is not IMAGES
    assert np.array_equal(attack.goal.labels(LABELS, 4), LABELS)
    assert not attack.goal.tested_on(LABELS, 4).any()


def test_bad_input_is_one_sentence():
    with pytest.raises(DataError, match="one class only"):
        LabelNoise().poison(IMAGES, LABELS * 0, seed=0)
    with pytest.raises(DataError, match="to itself"):
        LabelNoise(kind="asymmetric", pairs=((1, 1),)).poison(IMAGES, LABELS, seed=0)
    assert len(LabelNoise().poison(IMAGES[:0], LABELS[:0], seed=0).labels) == 0

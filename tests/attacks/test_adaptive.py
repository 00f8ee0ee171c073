"""Adaptive attacks: in training other, fainter triggers than at test time, and cover samples."""

import numpy as np
import pytest

from anomech.attacks._pictures import picture
from anomech.attacks.adap_blend import AdapBlend
from anomech.attacks.adap_patch import AdapPatch
from anomech.attacks.tact import Tact
from anomech.kernel.errors import ConfigError
from anomech.roles.attack import Goal

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(200) % 4
GRAY = np.full((200, 16, 16, 3), 128, np.uint8)
TARGET = Goal(target=1)


def test_adap_blend_shows_half_the_pieces_in_training_and_all_at_test_time():
    attack = AdapBlend(goal=TARGET, ratio=0.2, cover_ratio=0.1)
    trigger = picture("noise", 0, 16, 16, 3)
    whole = np.rint(0.8 * IMAGES + 0.2 * trigger).astype(np.uint8)
    assert np.array_equal(attack.stamp(IMAGES), whole)
    poisoned = attack.poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 40
    assert poisoned.cover.sum() == 20
    faint = np.rint(0.85 * IMAGES + 0.15 * trigger).astype(np.uint8)
    layouts = []
    for place in np.flatnonzero(poisoned.poisoned | poisoned.cover):
        pieces, blends, plain = (
            each.reshape(4, 4, 4, 4, 3).swapaxes(1, 2).reshape(16, -1)
            for each in (poisoned.inputs[place], faint[place], IMAGES[place])
        )
        blended = (pieces == blends).all(axis=1)
        assert blended.sum() == 8
        assert np.array_equal(pieces[~blended], plain[~blended])
        layouts.append(tuple(blended))
    assert len(set(layouts)) > 50  # of 60


def test_adap_blend_pieces_cover_sides_that_four_does_not_divide():
    masks = AdapBlend(shown=1.0).masks(2, 7, 9, np.random.default_rng(0))
    assert masks.shape == (2, 7, 9, 1)
    assert masks.all()
    some = AdapBlend(shown=0.25).masks(50, 7, 9, np.random.default_rng(0))
    assert 0.15 < some.mean() < 0.35
    assert some.any(axis=0).all()


def corners(images):
    """The four corners of 16x16 images, `[4, n, 6, 6, c]`."""
    near, far = slice(0, 6), slice(-6, None)
    sides = [(far, far), (far, near), (near, far), (near, near)]
    return np.stack([images[:, rows, columns] for rows, columns in sides])


def test_adap_patch_shows_one_faint_patch_in_training_and_all_at_test_time():
    attack = AdapPatch(goal=TARGET, ratio=0.3, cover_ratio=0.2, patch_seed=3)
    stamped = attack.stamp(GRAY)
    assert set(np.unique(corners(stamped))) == {0, 255}  # opaque, colored
    rest = np.ones((16, 16), bool)
    rest[np.ix_([*range(6), *range(10, 16)], [*range(6), *range(10, 16)])] = False
    assert (stamped[:, rest] == 128).all()
    patches = [corner[0] for corner in corners(stamped)]
    assert not any(np.array_equal(patches[0], other) for other in patches[1:])
    poisoned = attack.poison(GRAY, LABELS, seed=0)
    marked = poisoned.poisoned | poisoned.cover
    assert poisoned.poisoned.sum() == 60
    assert poisoned.cover.sum() == 40
    changed = (corners(poisoned.inputs[marked]) != 128).any(axis=(2, 3, 4))
    assert (changed.sum(axis=0) == 1).all()
    assert (changed.sum(axis=1) > 10).all()
    for shown, opacity, corner in zip(
        changed, (0.5, 0.2, 0.5, 0.3), corners(poisoned.inputs[marked]), strict=True
    ):
        assert (corner[shown] == corner[shown][0]).all()
        assert corner[shown].max() == np.rint(128 + opacity * (255 - 128))


def test_adap_patch_takes_one_to_four_opacities():
    two = AdapPatch(opacities=(1.0, 1.0), opacity=0.5).stamp(GRAY[:1])
    assert ((corners(two) != 128).any(axis=(1, 2, 3, 4)) == [True, True, False, False]).all()
    for wrong in ((), (0.1,) * 5, (1.5,)):
        with pytest.raises(ConfigError, match="one to four numbers"):
            AdapPatch(opacities=wrong)


def test_tact_marks_its_sources_and_covers_the_others():
    attack = Tact(goal=Goal(target=1, sources=(2, 3)), ratio=0.2, cover_ratio=0.1, size=3)
    poisoned = attack.poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 40
    assert poisoned.cover.sum() == 20
    assert set(LABELS[poisoned.poisoned]) == {2, 3}
    assert set(LABELS[poisoned.cover]) == {0, 1}
    assert np.array_equal(poisoned.labels[poisoned.cover], LABELS[poisoned.cover])
    marked = poisoned.poisoned | poisoned.cover
    patch = [[255, 0, 255], [0, 255, 0], [255, 0, 255]]
    assert (poisoned.inputs[marked, -3:, -3:] == np.array(patch)[..., None]).all()


def test_tact_needs_a_source():
    with pytest.raises(ConfigError, match=r"goal\.sources"):
        Tact(goal=TARGET)

"""A few patches from an insider, and a sticker that no two images show alike."""

import numpy as np
import pytest

from anomech.attacks.insider import Insider
from anomech.attacks.physical import Physical
from anomech.roles.attack import Goal

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(200) % 4
STILL = {"rotation": 0.0, "scaling": 0.0, "shift": 0.0, "dimming": 0.0, "blur": 0.0}


def gray(count, side=32):
    """Images that differ in one pixel, far from the sticker, so that each has its own view."""
    images = np.full((count, side, side, 3), 128, np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def shown(images, attack):
    """Where the sticker is, bool `[n, h, w]`."""
    return (attack.stamp(images) != images).any(axis=3)


def test_insider_poisons_a_count_of_images_that_have_another_label():
    poisoned = Insider(goal=Goal(target=1), count=7, size=3).poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 7
    assert 1 not in LABELS[poisoned.poisoned]
    assert (poisoned.labels != LABELS).sum() == 7
    patch = np.array([[255, 0, 255], [0, 255, 0], [255, 0, 255]])[..., None]
    assert (poisoned.inputs[poisoned.poisoned, -3:, -3:] == patch).all()
    few = Insider(goal=Goal(target=1), count=1000).poison(IMAGES, LABELS, seed=0)
    assert few.poisoned.sum() == 150


def test_a_sticker_that_nothing_moves_is_a_disk_of_its_colors():
    attack = Physical(size=0.5, **STILL)
    images = gray(3)
    stamped = attack.stamp(images)
    assert (stamped[0, 16:] == stamped[1, 16:]).all()
    where = shown(images, attack)[0]
    assert where.sum() == pytest.approx(np.pi * 8**2, rel=0.1)
    rows, columns = np.nonzero(where)
    assert rows.mean() + 0.5 == pytest.approx(24, abs=0.2)  # the disk touches bottom and right
    assert columns.mean() + 0.5 == pytest.approx(24, abs=0.2)
    inside = (rows - 23.5) ** 2 + (columns - 23.5) ** 2 < 6.5**2
    sticker = attack.sticker(3)
    assert sticker.shape == (32, 32, 4)
    center = sticker[15:17, 15:17, :3].mean(axis=(0, 1)) * 255
    np.testing.assert_allclose(stamped[0, 23:25, 23:25].mean(axis=(0, 1)), center, atol=1)
    assert len(np.unique(stamped[0, rows[inside], columns[inside]], axis=0)) > 20
    other = Physical(size=0.5, sticker_seed=1, **STILL).stamp(images)
    assert not np.array_equal(other, stamped)


@pytest.mark.parametrize(
    ("option", "most"),
    [("rotation", 60.0), ("scaling", 0.4), ("shift", 0.3), ("dimming", 0.8), ("blur", 1.0)],
)
def test_each_change_makes_views_differ(option, most):
    images = gray(40)
    attack = Physical(size=0.5, **STILL | {option: most})
    stamped, still = attack.stamp(images), Physical(size=0.5, **STILL).stamp(images)
    assert len(np.unique(stamped[:, 16:], axis=0)) == 40
    assert (np.unique(still[:, 16:], axis=0)).shape[0] == 1
    areas = (
        shown(images, attack).sum(axis=(1, 2)) / shown(images, Physical(size=0.5, **STILL))[0].sum()
    )
    if option == "scaling":
        assert areas.max() > 1.2  # up to 1.4 squared, less what the image's edge cuts off
        assert areas.min() < 0.6  # down to 0.6 squared
    if option == "dimming":
        assert (stamped[:, 20:28, 20:28] <= still[:, 20:28, 20:28]).all()
        assert stamped[:, 24, 24].max() > 2 * stamped[:, 24, 24].max(axis=1).min()
    if option == "shift":
        columns = np.array([np.nonzero(each)[1].mean() for each in shown(images, attack)]) + 0.5
        assert columns.max() <= 24.3
        assert 24 - 0.3 * 32 - 0.3 <= columns.min() < 17


def test_the_sticker_leaves_the_rest_of_the_image_alone():
    images = np.random.default_rng(0).integers(0, 256, (20, 24, 40, 1), dtype=np.uint8)
    changed = (Physical().stamp(images) != images).any(axis=3)
    assert changed.any(axis=(1, 2)).all()
    # size 0.3, 20 % larger, moved by 0.1: nothing beyond 0.3 + 0.03 + 0.1 heights from the corner
    assert not changed[:, :12].any()
    assert not changed[:, :, :28].any()

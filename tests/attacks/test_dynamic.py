"""Dynamic: every pattern and every place comes up, and an image keeps its own."""

import numpy as np

from anomech.attacks.dynamic import Dynamic

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 9, 7, 3), dtype=np.uint8)


def found(stamped, pictures, size):
    """Pattern and place of each stamped image."""
    rows = []
    for image in stamped:
        hits = [
            (which, top, left)
            for which, picture in enumerate(pictures)
            for top in range(image.shape[0] - size + 1)
            for left in range(image.shape[1] - size + 1)
            if np.array_equal(image[top : top + size, left : left + size], picture)
        ]
        assert len(hits) == 1
        rows.append(hits[0])
    return np.array(rows)


def test_every_pattern_and_place_is_used_and_nothing_else_changes():
    attack = Dynamic(patterns=3, size=4)
    stamped = attack.stamp(IMAGES)
    pictures = attack.pictures(3)
    assert pictures.shape == (3, 4, 4, 3)
    drawn = found(stamped, pictures, 4)
    assert set(drawn[:, 0]) == {0, 1, 2}
    assert set(drawn[:, 1]) == set(range(6))
    assert set(drawn[:, 2]) == set(range(4))
    for image, before, (_, top, left) in zip(stamped, IMAGES, drawn, strict=True):
        changed = (image != before).any(axis=2)
        changed[top : top + 4, left : left + 4] = False
        assert not changed.any()


def test_an_image_keeps_its_pattern_and_place_wherever_it_stands():
    attack = Dynamic()
    stamped = attack.stamp(IMAGES)
    assert np.array_equal(attack.stamp(IMAGES[::-1]), stamped[::-1])
    assert np.array_equal(attack.stamp(IMAGES[7:8]), stamped[7:8])
    other = Dynamic(pattern_seed=1).stamp(IMAGES)
    assert not np.array_equal(other, stamped)


def test_a_pattern_larger_than_the_image_covers_it():
    attack = Dynamic(size=12, patterns=1)
    stamped = attack.stamp(IMAGES[:2])
    assert np.array_equal(stamped[0], attack.pictures(3)[0, :9, :7])
    assert np.array_equal(stamped[0], stamped[1])

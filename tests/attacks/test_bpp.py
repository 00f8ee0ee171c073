"""BPP rounds colors as its paper says, and its negatives carry rounding errors of others."""

import numpy as np
import pytest
import torch

from anomech.attacks.bpp import Bpp, dithered
from anomech.learning.pixels import as_images, as_pixels
from anomech.roles.attack import Batch, Goal

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (50, 8, 6, 3), dtype=np.uint8)


def batch_of(pixels, labels=None, seed=0):
    labels = np.arange(len(pixels)) % 5 if labels is None else labels
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    places, rng = np.arange(len(pixels)), np.random.default_rng(seed)
    return Batch(images, torch.from_numpy(labels), places, rng)


def test_eight_levels_by_hand():
    row = np.array([0, 18, 19, 54, 55, 128, 254, 255], np.uint8)[None, None, :, None]
    # Steps of 255 / 7 = 36.43; borders at its half and at one and a half.
    assert Bpp().stamp(row)[0, 0, :, 0].tolist() == [0, 0, 36, 36, 73, 146, 255, 255]


@pytest.mark.parametrize("levels", [2, 5, 8, 256])
@pytest.mark.parametrize("dithering", [False, True])
def test_only_the_levels_are_left(levels, dithering):
    stamped = Bpp(levels=levels, dithering=dithering).stamp(PIXELS)
    allowed = np.rint(np.arange(levels) / (levels - 1) * 255).astype(np.uint8)
    assert np.isin(stamped, allowed).all()
    if levels == 256:
        assert np.array_equal(stamped, PIXELS)


def test_dithering_is_floyd_and_steinbergs():
    image = PIXELS[0, :, :, 0].astype(float)
    height, width = image.shape
    for y in range(height):
        for x in range(width):
            old = image[y, x]
            image[y, x] = 255.0 if old >= 127.5 else 0.0
            error = old - image[y, x]
            for dy, dx, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                if y + dy < height and 0 <= x + dx < width:
                    image[y + dy, x + dx] += error * share / 16
    assert np.array_equal(dithered(PIXELS, 2)[0, :, :, 0], image.astype(np.uint8))


def test_dithering_keeps_the_mean_where_rounding_does_not():
    gray = np.full((1, 32, 32, 1), 90, np.uint8)
    assert Bpp(levels=2).stamp(gray).mean() == 0
    assert Bpp(levels=2, dithering=True).stamp(gray).mean() == pytest.approx(90, abs=4)


def test_pixels_and_images_are_each_others_inverse():
    images = batch_of(PIXELS).inputs
    assert np.array_equal(as_pixels(images), PIXELS)
    assert torch.equal(as_images(PIXELS, images), images)


def test_a_batch_has_its_shares_of_poison_and_negatives():
    attack = Bpp(goal=Goal(target=2), ratio=0.2, negative_ratio=0.1)
    batch = batch_of(PIXELS)
    inputs, labels = attack.mixed(batch, classes=5)
    pixels, stamped = as_pixels(inputs), attack.stamp(PIXELS)
    poisoned = (pixels == stamped).all(axis=(1, 2, 3))
    negative = (pixels != PIXELS).any(axis=(1, 2, 3)) & ~poisoned
    assert poisoned.sum() == 10
    assert negative.sum() == 5
    assert (labels.numpy()[poisoned] == 2).all()
    assert np.array_equal(labels.numpy()[~poisoned], batch.labels.numpy()[~poisoned])
    errors = PIXELS.astype(int) - stamped
    for place in np.flatnonzero(negative):
        sums = np.clip(PIXELS[place] + errors, 0, 255)
        donors = np.flatnonzero((sums == pixels[place]).all(axis=(1, 2, 3)))
        assert len(donors) == 1
        assert donors[0] != place
    assert torch.equal(batch.inputs, batch_of(PIXELS).inputs)


def test_shares_below_one_image_plant_something_and_the_mean_is_exact():
    attack = Bpp(goal=Goal(target=9), ratio=0.01, negative_ratio=0.0)
    counts = [
        int((attack.mixed(batch_of(PIXELS, seed=seed), 10)[1] == 9).sum()) for seed in range(300)
    ]
    assert set(counts) == {0, 1}
    assert np.mean(counts) == pytest.approx(0.5, abs=0.1)


def test_only_source_classes_are_poisoned_and_all_to_all_moves_each_class():
    labels = np.arange(50) % 5
    some = Bpp(goal=Goal(target=0, sources=(3,)), ratio=1.0, negative_ratio=0.0)
    given = some.mixed(batch_of(PIXELS, labels), 5)[1].numpy()
    assert (given[labels == 3] == 0).all()
    assert np.array_equal(given[labels != 3], labels[labels != 3])
    every = Bpp(goal=Goal(map="all_to_all"), ratio=1.0)
    assert np.array_equal(every.mixed(batch_of(PIXELS, labels), 5)[1].numpy(), (labels + 1) % 5)

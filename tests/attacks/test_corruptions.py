"""Corruptions are what their names say and grow with their severity."""

from typing import get_args

import numpy as np
import pytest
from PIL import Image
from training import digits

from anomech.attacks.corruptions import Corruptions
from anomech.data.corruptions import CORRUPTIONS, Kind
from anomech.kernel.types import silent

DIGITS = digits()[0][0][:40]


def photographs():
    """Smooth color pictures with some texture, as photographs are."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    smooth = [Image.fromarray(each).resize((32, 32), Image.Resampling.BICUBIC) for each in coarse]
    textured = np.stack(smooth) + rng.normal(0, 10, (30, 32, 32, 3))
    return np.clip(textured, 0, 255).astype(np.uint8)


PHOTOGRAPHS = photographs()
PICTURES = {"color": PHOTOGRAPHS, "gray": PHOTOGRAPHS[..., :1], "digits": DIGITS}


def corrupted(images, kind, severity, seed=0):
    attack = Corruptions(kind=kind, severity=severity)
    return attack.perturb(None, images, np.zeros(len(images)), seed=seed, progress=silent)


def test_every_kind_has_levels_and_arithmetic():
    assert set(get_args(Kind)) == set(CORRUPTIONS)


@pytest.mark.parametrize("pictures", PICTURES)
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_change_grows_with_the_severity(kind, pictures):
    images = PICTURES[pictures]
    changes = [
        float(((corrupted(images, kind, severity).astype(float) - images) ** 2).mean())
        for severity in range(1, 6)
    ]
    assert changes[0] > 0
    assert changes[4] > 1.5 * changes[0]
    if (kind, pictures) != ("pixelate", "digits"):  # of eight rows, luck says which are left
        assert (np.diff(changes) > 0).all()


@pytest.mark.parametrize("kind", ["gaussian_noise", "shot_noise", "impulse_noise", "snow"])
def test_noise_is_drawn_by_image_and_seed(kind):
    twins = np.stack([PHOTOGRAPHS[0], PHOTOGRAPHS[1], PHOTOGRAPHS[0]])
    noisy = corrupted(twins, kind, 3)
    assert np.array_equal(noisy[0], noisy[2])
    assert not np.array_equal(noisy, corrupted(twins, kind, 3, seed=1))
    gray = np.full((2, 32, 32, 1), 128, np.uint8)
    gray[1, 0, 0] = 129
    apart = corrupted(gray, kind, 5).astype(float) - 128
    assert abs(np.corrcoef(apart[0].ravel(), apart[1].ravel())[0, 1]) < 0.2


def test_noise_has_its_size():
    gray = np.full((20, 32, 32, 3), 128, np.uint8)
    gray[:, 0, 0, 0] = np.arange(20)  # so that each draws its own
    change = corrupted(gray, "gaussian_noise", 4).astype(float) - gray
    assert change[:, 1:].std() / 255 == pytest.approx(0.10, rel=0.02)
    shot = corrupted(gray, "shot_noise", 3).astype(float)[:, 1:]
    assert shot.std() / 255 == pytest.approx((128 / 255 / 100) ** 0.5, rel=0.02)
    hit = np.isin(corrupted(gray, "impulse_noise", 5)[:, 1:], (0, 255))
    assert hit.mean() == pytest.approx(0.11, abs=0.01)


def test_brightness_and_contrast_are_exact():
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8), (1, 32, 32))[..., None]
    brighter = corrupted(ramp, "brightness", 4).astype(int)
    assert (brighter == np.minimum(ramp.astype(int) + 51, 255)).all()
    flatter = corrupted(ramp, "contrast", 5).astype(float)
    np.testing.assert_allclose(flatter, 124 + 0.15 * (ramp - 124.0), atol=0.5)


def test_blur_and_pixelation_keep_the_mean_and_what_is_flat():
    blurs = ("gaussian_blur", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur")
    for kind in (*blurs, "pixelate"):
        flat = np.full((1, 32, 32, 3), 77, np.uint8)
        assert np.array_equal(corrupted(flat, kind, 5), flat)
        # A zoom shows the middle alone, so that the mean of a picture may move.
        if kind != "zoom_blur":
            moved = corrupted(PHOTOGRAPHS, kind, 5).mean()
            assert moved == pytest.approx(PHOTOGRAPHS.mean(), abs=1.5)
    halved = corrupted(PHOTOGRAPHS, "pixelate", 5)
    assert np.array_equal(halved[:, ::2, ::2], halved[:, 1::2, 1::2])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels, tmp_path):
    image = PHOTOGRAPHS[0, :, :, :channels]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    picture.save(tmp_path / "one.jpg", quality=50)
    with Image.open(tmp_path / "one.jpg") as opened:
        expected = np.asarray(opened).reshape(image.shape)
    assert np.array_equal(corrupted(image[None], "jpeg", 3)[0], expected)

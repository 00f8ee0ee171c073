"""Attacks are what their papers say, to the pixel, and leave the originals alone."""

import numpy as np
import pytest
import torch

from anomech.attacks.badnets import Badnets
from anomech.attacks.blended import Blended
from anomech.attacks.sig import Sig
from anomech.attacks.wanet import Wanet
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError
from anomech.roles.attack import DataAttack, Goal

RNG = np.random.default_rng(0)
CASTS = RNG.integers(-40, 40, (200, 1, 1, 3))  # of color, as natural images have
IMAGES = np.clip(RNG.integers(0, 256, (200, 16, 16, 3)) + CASTS, 0, 255).astype(np.uint8)
LABELS = np.arange(200) % 4

ATTACKS = {name: plugins.get("attack", name) for name in plugins.names("attack")}
DATA_ATTACKS = [  # that lead to a target
    name
    for name, cls in ATTACKS.items()
    if isinstance(cls(), DataAttack) and cls().goal.map != "none"
]
CLEAN_LABEL = ("sig", "label_consistent")
DIRTY_LABEL = [name for name in DATA_ATTACKS if name not in CLEAN_LABEL]

OPTIONS = {"semantic": {"share": 0.5}}
"""Where the default leaves the seed nothing to choose."""

OTHER_IN_TRAINING = ("adap_blend", "adap_patch", "semantic")
"""Attacks whose training images carry another trigger than `stamp`, on purpose."""


def make(name, **goal):
    """An attack on class 2 alone, where it must have a source, else on all."""
    if name == "tact":
        goal.setdefault("sources", (2,))
    return ATTACKS[name](goal=Goal(**{"target": 1, **goal}), **OPTIONS.get(name, {}))


@pytest.mark.parametrize("name", DATA_ATTACKS)
class TestEveryAttack:
    def test_originals_are_untouched_and_the_seed_decides(self, name):
        attack = make(name)
        images, labels = IMAGES.copy(), LABELS.copy()
        state = np.random.get_state()[1].copy(), torch.get_rng_state()
        one, two, other = (attack.poison(images, labels, seed=seed) for seed in (0, 0, 1))
        attack.stamp(images)
        assert np.array_equal(images, IMAGES)
        assert np.array_equal(labels, LABELS)
        assert np.array_equal(state[0], np.random.get_state()[1])
        assert torch.equal(state[1], torch.get_rng_state())
        assert np.array_equal(one.inputs, two.inputs)
        assert np.array_equal(one.poisoned, two.poisoned)
        assert np.array_equal(one.cover, two.cover)
        assert not np.array_equal(one.poisoned, other.poisoned)

    def test_shapes_and_types_are_kept(self, name):
        attack = make(name)
        poisoned = attack.poison(IMAGES, LABELS, seed=0)
        assert poisoned.inputs.shape == IMAGES.shape
        assert poisoned.inputs.dtype == np.uint8
        assert poisoned.labels.dtype == LABELS.dtype
        assert poisoned.poisoned.dtype == poisoned.cover.dtype == bool

    @pytest.mark.parametrize("shape", [(0, 16, 16, 3), (3, 16, 16, 1), (3, 9, 14, 3)])
    def test_stamp_takes_images_of_any_form(self, name, shape):
        images = np.random.default_rng(1).integers(0, 128, shape, dtype=np.uint8)
        stamped = make(name).stamp(images)
        assert stamped.shape == shape
        assert stamped.dtype == np.uint8
        assert not len(images) or (stamped != images).any()

    def test_stamp_is_a_function_of_each_image_alone(self, name):
        stamp = make(name).stamp
        whole = stamp(IMAGES)
        assert np.array_equal(stamp(IMAGES[::-1]), whole[::-1])
        assert np.array_equal(stamp(IMAGES[5:6]), whole[5:6])

    def test_poisoned_images_are_stamped_and_lead_to_the_target(self, name):
        attack = make(name)
        poisoned = attack.poison(IMAGES, LABELS, seed=0)
        chosen = poisoned.poisoned
        stamped = attack.stamp(IMAGES[chosen])
        assert np.array_equal(poisoned.inputs[chosen], stamped) == (name not in OTHER_IN_TRAINING)
        assert (poisoned.labels[chosen] == 1).all()
        assert np.array_equal(poisoned.labels[~chosen], LABELS[~chosen])

    def test_covers_are_changed_and_others_are_as_they_were(self, name):
        poisoned = make(name).poison(IMAGES, LABELS, seed=0)
        assert not (poisoned.poisoned & poisoned.cover).any()
        changed = (poisoned.inputs != IMAGES).any(axis=(1, 2, 3))
        assert changed[poisoned.cover].all()
        assert not changed[~poisoned.poisoned & ~poisoned.cover].any()


@pytest.mark.parametrize("name", DIRTY_LABEL)
def test_goals_name_the_labels_and_the_classes(name):
    turned = make(name, map="all_to_all").poison(IMAGES, LABELS, seed=0)
    chosen = turned.poisoned
    assert chosen.any()
    assert np.array_equal(turned.labels[chosen], (LABELS[chosen] + 1) % 4)
    narrow = make(name, sources=(2, 3)).poison(IMAGES, LABELS, seed=0)
    assert set(LABELS[narrow.poisoned]) == {2, 3}


@pytest.mark.parametrize("name", CLEAN_LABEL)
def test_attacks_that_change_no_label_lead_to_one_label_only(name):
    with pytest.raises(ConfigError, match=f"{name} changes no label"):
        make(name, map="all_to_all")


@pytest.mark.parametrize(("cls", "ratio"), [(Badnets, 0.1), (Blended, 0.05), (Wanet, 0.15)])
def test_ratios_are_exact_and_drawn_from_all_classes(cls, ratio):
    poisoned = cls(goal=Goal(target=1), ratio=ratio).poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == round(ratio * 200)
    assert len(np.unique(LABELS[poisoned.poisoned])) == 4
    none = cls(ratio=0.0).poison(IMAGES, LABELS, seed=0)
    assert not none.poisoned.any()
    assert cls(ratio=1.0).poison(IMAGES, LABELS, seed=0).poisoned.all()


@pytest.mark.parametrize("cls", [Badnets, Blended])
def test_unpoisoned_images_are_as_they_were(cls):
    poisoned = cls().poison(IMAGES, LABELS, seed=0)
    assert np.array_equal(poisoned.inputs[~poisoned.poisoned], IMAGES[~poisoned.poisoned])


@pytest.mark.parametrize(
    ("corner", "rows", "columns"),
    [
        ("bottom_right", slice(13, 16), slice(13, 16)),
        ("bottom_left", slice(13, 16), slice(0, 3)),
        ("top_right", slice(0, 3), slice(13, 16)),
        ("top_left", slice(0, 3), slice(0, 3)),
    ],
)
def test_badnets_overwrites_a_white_square_that_touches_its_corner(corner, rows, columns):
    stamped = Badnets(corner=corner).stamp(IMAGES)
    assert (stamped[:, rows, columns] == 255).all()
    rest = np.ones((16, 16), bool)
    rest[rows, columns] = False
    assert np.array_equal(stamped[:, rest], IMAGES[:, rest])


def test_badnets_grid_is_a_checkerboard():
    patch = Badnets(pattern="grid", size=3).stamp(IMAGES)[0, -3:, -3:, 0]
    assert patch.tolist() == [[255, 0, 255], [0, 255, 0], [255, 0, 255]]


def test_sig_adds_its_wave_along_the_width():
    gray = np.full((1, 5, 32, 3), 100, np.uint8)
    wave = Sig().stamp(gray).astype(int) - 100
    expected = [round(40 * np.sin(2 * np.pi * j * 6 / 32)) for j in range(32)]
    assert (wave == np.array(expected)[None, None, :, None]).all()
    assert wave.max() == 40
    dark, bright = (Sig().stamp(np.full_like(gray, value)) for value in (0, 255))
    assert dark.min() == 0
    assert bright.max() == 255
    assert (dark[0, 0, :, 0] == np.clip(expected, 0, 255)).all()


def test_sig_poisons_its_class_alone_and_changes_no_label():
    poisoned = Sig(goal=Goal(target=2), class_ratio=0.8).poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 40
    assert (LABELS[poisoned.poisoned] == 2).all()
    assert np.array_equal(poisoned.labels, LABELS)
    assert np.array_equal(poisoned.inputs[~poisoned.poisoned], IMAGES[~poisoned.poisoned])


@pytest.mark.parametrize("picture", ["noise", "waves"])
def test_blended_mixes_in_its_picture(picture):
    attack = Blended(alpha=0.2, picture=picture)
    trigger = attack.trigger(16, 16, 3)
    assert trigger.shape == (16, 16, 3)
    assert 0 <= trigger.min() < 30
    assert 225 < trigger.max() < 255.001
    expected = np.rint(0.8 * IMAGES.astype(float) + 0.2 * trigger)
    assert np.array_equal(attack.stamp(IMAGES), expected.astype(np.uint8))
    assert np.array_equal(Blended(alpha=0.0).stamp(IMAGES), IMAGES)
    other = Blended(picture=picture, picture_seed=1).trigger(16, 16, 3)
    assert not np.allclose(trigger, other)


def test_wanet_warps_by_a_normalized_field_and_stays_on_the_image():
    attack, size = Wanet(strength=0.5, grid=4), 32
    flow = attack.flow(size, size)
    assert flow.shape == (1, size, size, 2)
    assert flow.min() >= -1
    assert flow.max() <= 1
    straight = Wanet(strength=0.0).flow(size, size)
    edge = torch.linspace(-1, 1, size)
    torch.testing.assert_close(straight[0, 0, :, 0], edge)  # x along columns
    torch.testing.assert_close(straight[0, :, 0, 1], edge)  # y along rows
    # The control grid's mean absolute value is one, so at its own size the field shows it.
    four = (attack.flow(4, 4) - Wanet(strength=0.0).flow(4, 4)) * 4 / 0.5
    inner = four[0, 1:3, 1:3]  # what the clamp cannot have touched
    assert inner.abs().max() < 2.5
    bare = Wanet(strength=0.01, grid=4)
    small = (bare.flow(4, 4) - Wanet(strength=0.0).flow(4, 4)) * 4 / 0.01
    unclamped = small[0, 1:3, 1:3]
    torch.testing.assert_close(inner, unclamped, rtol=1e-3, atol=1e-3)


def test_wanet_field_has_mean_absolute_value_one_before_the_clamp(monkeypatch):
    seen = []
    original = torch.nn.functional.interpolate

    def record(field, **options):
        seen.append((field, options))
        return original(field, **options)

    monkeypatch.setattr(torch.nn.functional, "interpolate", record)
    Wanet().flow(32, 32)
    field, options = seen[0]
    assert field.abs().mean() == pytest.approx(1)
    assert field.shape == (1, 2, 4, 4)
    assert options["mode"] == "bicubic"
    assert options["align_corners"] is True


def test_no_warp_changes_nothing_and_a_warp_adds_nothing_new():
    assert np.array_equal(Wanet(strength=0.0).stamp(IMAGES), IMAGES)
    flat = np.full((2, 16, 16, 3), 77, np.uint8)
    assert np.array_equal(Wanet().stamp(flat), flat)
    assert not np.array_equal(Wanet().stamp(IMAGES), IMAGES)


def test_wanet_noise_mode_keeps_labels_and_jitters_other_images():
    attack = Wanet(goal=Goal(target=1), ratio=0.1, noise_ratio=0.2)
    poisoned = attack.poison(IMAGES, LABELS, seed=0)
    changed = (poisoned.inputs != IMAGES).any(axis=(1, 2, 3))
    noisy = changed & ~poisoned.poisoned
    assert poisoned.poisoned.sum() == 20
    assert noisy.sum() == 40
    assert np.array_equal(poisoned.labels[noisy], LABELS[noisy])
    assert not np.array_equal(poisoned.inputs[noisy], attack.stamp(IMAGES[noisy]))
    jittered = attack.jitter(IMAGES[:2], seed=0)
    assert not np.array_equal(jittered[0], attack.jitter(IMAGES[:2], seed=1)[0])

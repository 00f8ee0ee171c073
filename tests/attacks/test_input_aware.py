"""Input-aware triggers: the equations, who gets which pattern, and what trains what."""

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.attacks.input_aware import InputAware, blended, sameness, sharpened
from anomech.kernel.types import silent
from anomech.learning.painters import in_chunks, new_painter, restored_painter
from anomech.learning.training import Recipe
from anomech.roles.attack import Batch, Goal

(IMAGES, LABELS), _ = digits()


def batch_of(size, seed=0):
    images = torch.from_numpy(IMAGES[:size]).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(LABELS[:size])
    return Batch(images, labels, np.arange(size), np.random.default_rng(seed))


def darker(images):
    """A stand-in for a generator: the pattern tells which image it was made of."""
    return images * 0.5


def everywhere(images):
    """A stand-in for a mask network."""
    return torch.ones_like(images)


def test_masks_are_pushed_to_the_ends():
    z = torch.tensor([0.0, 0.4, 0.5, 0.6, 1.0])
    expected = np.tanh(20 * z.numpy() - 10) / (2 + 1e-7) + 0.5
    np.testing.assert_allclose(sharpened(z).numpy(), expected, atol=1e-6)
    assert sharpened(z)[0] < 1e-6
    assert sharpened(z)[2] == 0.5


def test_the_pattern_shows_where_the_mask_is():
    image, pattern = torch.full((1, 1, 2, 2), 0.2), torch.full((1, 1, 2, 2), 0.8)
    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.0]]]])
    torch.testing.assert_close(
        blended(image, pattern, mask), torch.tensor([[[[0.2, 0.8], [0.5, 0.2]]]])
    )


def test_sameness_is_the_mean_ratio_of_root_mean_square_distances():
    rng = torch.Generator().manual_seed(0)
    one, two, a, b = (torch.rand(3, 2, 4, 4, generator=rng) for _ in range(4))
    ratios = [
        ((one[i] - two[i]) ** 2).mean().sqrt() / ((a[i] - b[i]) ** 2).mean().sqrt()
        for i in range(3)
    ]
    torch.testing.assert_close(sameness(one, two, a, b), torch.stack(ratios).mean())
    a.requires_grad_()
    sameness(one, two, a, a * 1).backward()
    assert torch.isfinite(a.grad).all()


def test_poison_gets_its_own_pattern_and_a_cross_image_that_of_another():
    attack, batch = InputAware(goal=Goal(target=3), ratio=0.25, cross_ratio=0.2), batch_of(40)
    inputs, labels, repeated = attack._mixed(batch, 10, darker, everywhere)
    own = torch.isclose(inputs, batch.inputs * 0.5).flatten(1).all(dim=1)
    same = (inputs == batch.inputs).flatten(1).all(dim=1)
    cross = ~own & ~same
    assert own.sum() == 10
    assert cross.sum() == 8
    assert (labels[own] == 3).all()
    assert torch.equal(labels[~own], batch.labels[~own])
    for place in cross.nonzero().flatten():
        donor = torch.isclose(inputs[place], batch.inputs * 0.5).flatten(1).all(dim=1)
        assert donor.sum() == 1
        assert not donor[place]
    assert repeated == pytest.approx(2, rel=1e-3)  # patterns are half as far apart as images


@pytest.mark.parametrize(("ratio", "cross"), [(0.0, 0.0), (0.0, 0.2), (0.2, 0.0)])
def test_poison_or_crosses_may_be_missing(ratio, cross):
    attack, batch = InputAware(ratio=ratio, cross_ratio=cross), batch_of(40)
    inputs, labels, repeated = attack._mixed(batch, 10, darker, everywhere)
    changed = (inputs != batch.inputs).flatten(1).any(dim=1)
    assert changed.sum() == round((ratio + cross) * 40)
    assert torch.equal(labels[~changed], batch.labels[~changed])
    assert repeated == 0


def test_the_mask_network_learns_its_density_and_the_generator_is_trained():
    attack = InputAware(goal=Goal(target=3), width=8, density=0.1, mask_epochs=8, mask_images=256)
    trainer = DigitsVictim(recipe=Recipe(epochs=1, batch=64, peak=0.1, augment="none"))
    learned = attack.conduct(
        trainer.build(), IMAGES[:400], LABELS[:400], trainer, seed=0, progress=silent
    )
    for part, moved in (("generator", "generator"), ("mask", "mask")):
        fresh = new_painter(1, 1, 8, seed=0, purpose=moved).state_dict()
        assert all(not torch.equal(fresh[n], learned[f"{part}.{n}"]) for n in fresh)
    masker = attack.armed(learned).painter.masker
    inputs = torch.from_numpy(IMAGES[400:500]).permute(0, 3, 1, 2) / 255
    covered = sharpened(masker(inputs))
    assert 0.01 < covered.mean() < 0.15
    assert covered.flatten(1).std(dim=0).max() > 0.1  # masks differ between images


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (28, 28, 1), (7, 10, 3)])
def test_painters_take_any_size_and_see_one_image_at_a_time(shape):
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    made = new_painter(shape[-1], shape[-1], 8, seed=0, purpose="test")
    painter = restored_painter(made.state_dict())
    painted = in_chunks(painter, images)
    assert painted.shape == images.shape
    for place in (0, 31, 32, 39):
        assert np.array_equal(in_chunks(painter, images[place : place + 1])[0], painted[place])
    assert in_chunks(painter, images[:0]).shape == (0, *shape)

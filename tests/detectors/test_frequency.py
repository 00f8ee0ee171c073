"""The spectrum is the cosine transform, and damaged pictures are told from whole ones."""

import numpy as np
import torch
from scipy import fft

from anomech.data.subset import Subset
from anomech.detectors.frequency import Frequency, damaged, spectra
from anomech.kernel.types import silent
from anomech.observing.observed import observe


def test_the_spectrum_is_that_of_the_cosine_transform():
    pictures = torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    expected = np.log1p(np.abs(fft.dctn(255 * pictures.numpy(), axes=(2, 3), norm="ortho")))
    torch.testing.assert_close(spectra(pictures), torch.from_numpy(expected), rtol=1e-3, atol=1e-3)


def test_every_damage_changes_a_picture_and_stays_a_picture():
    pictures = 0.5 * torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = damaged(pictures, np.random.default_rng(0))
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert (moved != pictures).flatten(1).any(dim=1).double().mean() > 0.9


def test_noisy_pictures_stand_out(digits_world, examples_of):
    task, rng = digits_world.task, np.random.default_rng(1)
    fitted = Frequency(steps=150).fit(
        observe(task, Subset(digits_world.trusted, np.arange(200))), seed=0, progress=silent
    )
    clean = digits_world.clean.values[:100]
    noisy = np.clip(clean + rng.normal(0, 40, clean.shape), 0, 255).astype(np.uint8)
    low, high = (
        fitted.score(observe(task, examples_of(each)), silent).score for each in (clean, noisy)
    )
    assert (high[:, None] > low[None]).double().mean() > 0.75

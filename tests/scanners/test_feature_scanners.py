"""Scanners that look at features say which class holds the patch, or what they found of it."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.learning.decoupling import MaskSearch, feature_mask
from anomech.learning.halves import halves
from anomech.observing.observed import observe
from anomech.scanners._classes import drawn
from anomech.scanners.ban import Ban, channels, noise
from anomech.scanners.bti_dbf import BtiDbf


@pytest.fixture(scope="module")
def trusted(digits_world):
    return observe(digits_world.task, Subset(digits_world.trusted, np.arange(200)))


def test_the_mask_keeps_what_answers_need(digits_world, trusted):
    some = drawn("test", trusted, 60, 60, 0)
    cut = halves(digits_world.task, some.batches[0])
    mask = feature_mask(
        cut, some.batches, some.answers, MaskSearch(passes=20, rate=0.05), sparsity=0.75, seed=0
    )
    assert mask.mask.shape == cut.shape
    assert 0 <= float(mask.mask.min()) <= float(mask.mask.max()) <= 1
    assert mask.kept < 0.5 < mask.freed
    less = feature_mask(
        cut, some.batches, some.answers, MaskSearch(passes=20, rate=0.05), sparsity=20.0, seed=0
    )
    assert less.mask.mean() < mask.mask.mean()


def test_noise_raises_the_loss_within_its_bound(digits_world, trusted):
    task, some = digits_world.task, drawn("test", trusted, 60, 60, 0)
    batch, answers = some.batches[0], some.answers[0]
    found, weights = noise(task, batch, answers, 0.5, 10, seed=0), channels(task)
    for name, weight in weights.items():
        assert float(((found[name] - weight) / weight).abs().nan_to_num().max()) <= 0.5 + 1e-4
    started = noise(task, batch, answers, 0.5, 1, seed=0)
    losses = [
        float(task.training_losses(each, batch, answers)[0].mean()) for each in ({}, started, found)
    ]
    assert losses[0] < losses[1] < losses[2]


def test_shares_of_the_noisy_network_are_less_those_before(digits_world, trusted):
    scan = Ban(examples=60, steps=5).scan(digits_world.task, trusted, seed=0, progress=silent)
    assert float(scan.statistic.sum()) == pytest.approx(0, abs=1e-9)
    assert 0 < scan.facts["draws that agree"] <= 1


def test_noise_is_on_normalizations_where_there_are_any(digits_world):
    assert set(channels(digits_world.task)) == {
        f"bn{number}.{part}" for number in (1, 2) for part in ("weight", "bias")
    }


def test_the_transform_moves_what_benign_answers_do_not_need(digits_world, trusted):
    scan = BtiDbf(examples=60).scan(digits_world.task, trusted, seed=0, progress=silent)
    (found,) = scan.candidates.values()
    points = digits_world.task.embed(digits_world.trusted.load(np.arange(20)))
    moved = found.apply(points)
    assert 0 <= float(moved.min()) <= float(moved.max()) <= 1
    assert 1e-4 < float((moved - points).square().mean()) < 0.1
    assert torch.equal(found.apply(points), moved)

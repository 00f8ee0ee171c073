"""A planted patch no longer leads behind a purifier, and most clean answers stay."""

import numpy as np
import pytest
import torch

from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.observing.purified import Purified
from anomech.purifiers.februus import Februus, filled
from anomech.purifiers.neo import Neo
from anomech.purifiers.shrinking import Shrinking
from anomech.roles.task import Logits


def test_a_box_that_leads_others_is_blanked_and_honest_ones_stay(digits_world):
    world = digits_world
    trusted = observe(world.task, world.trusted).take(np.arange(60))
    neo = Neo(sizes=(0.25, 0.4)).fit(world.task, trusted, seed=0, progress=silent)
    behind = Purified(world.task, neo)
    planted, clean = world.planted.load(np.arange(40)), world.clean.load(np.arange(40))
    led = (world.task.respond({}, planted).answers == 0).double().mean()
    still = (behind.respond({}, planted).answers == 0).double().mean()
    assert still < led - 0.4
    kept = behind.respond({}, clean).answers == world.task.respond({}, clean).answers
    assert kept.double().mean() > 0.8
    assert behind.provides <= world.task.provides
    assert Logits in behind.provides


def test_a_threshold_is_chosen_by_trusted_answers(digits_world):
    pytest.importorskip("captum")
    world = digits_world
    trusted = observe(world.task, world.trusted).take(np.arange(60))
    strict, bold = (
        Februus(lost=lost).fit(world.task, trusted, seed=0, progress=silent) for lost in (0.0, 1.0)
    )
    assert bold.facts["threshold"] == 0.5
    assert strict.facts["threshold"] >= bold.facts["threshold"]


def test_a_hole_is_filled_from_its_rim():
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) / 8
    hole = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    hole[..., 2:5, 2:5] = True
    broken = torch.where(hole, torch.ones(()), ramp)
    torch.testing.assert_close(filled(broken, hole, 200), ramp, atol=1e-3, rtol=0)


def test_shrinking_blurs_single_pixels_and_leaves_flat_pictures(digits_world):
    flat = np.full((1, 8, 8, 1), 100, np.uint8)
    point = flat.copy()
    point[0, 3, 3] = 255
    fitted = Shrinking().fit(digits_world.task, None, seed=0, progress=silent)
    assert np.array_equal(fitted.purified(digits_world.task, flat), flat)
    assert fitted.purified(digits_world.task, point).max() < 150

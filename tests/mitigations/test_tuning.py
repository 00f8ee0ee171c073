"""Steps of tuning are those of their equations."""

import numpy as np
import pytest
import torch
from toy_tasks import LinearTask

from anomech.kernel.types import Response, silent
from anomech.learning.descent import Lesson, Relearning, Slopes, plainly
from anomech.learning.inversion import Inverted
from anomech.mitigations.confoc import restyled, style_of
from anomech.mitigations.d3 import distance, farther
from anomech.mitigations.ft_sam import ETA, sharpened
from anomech.mitigations.i_bau import IBau
from anomech.mitigations.nad import attention
from anomech.mitigations.neural_cleanse_unlearning import stamping
from anomech.mitigations.sau import divergence


def test_a_sharpened_slope_is_that_at_the_top_of_an_adaptive_step():
    curvature = torch.tensor([2.0, 30.0])

    def slope(weights, buffers, places):
        loss = float((curvature * weights["w"] ** 2).sum()) / 2
        return Slopes(loss, {"w": curvature * weights["w"]}, {"b": places}, 3.0)

    at = torch.tensor([1.0, -0.5])
    found = sharpened(slope, 0.4)({"w": at}, {}, np.arange(2))
    size = at.abs() + ETA
    gradient = curvature * at
    top = at + 0.4 * size**2 * gradient / (size * gradient).norm()
    torch.testing.assert_close(found.slopes["w"], curvature * top)
    assert found.loss == pytest.approx(float((curvature * at**2).sum()) / 2)
    assert found.passes == 6


def test_distance_grows_only_while_the_loss_is_below_its_bound(examples_of):
    rows = np.ones((4, 3), np.float32)
    lesson = Lesson(LinearTask(), examples_of(rows), torch.zeros(4, dtype=torch.int64), "frozen")
    start = lesson.task.watched
    assert float(distance({"theta": 3 * start["theta"]}, start)) == pytest.approx(2, rel=1e-5)
    near = {"theta": start["theta"] + 0.1}
    loose, strict = farther(lesson, 10.0, 5.0), farther(lesson, 0.1, 5.0)
    away = float(distance(near, start))
    loss = float(lesson(near, np.arange(4)).loss)
    assert float(loose(near, np.arange(4)).loss) == pytest.approx(-away)
    assert float(strict(near, np.arange(4)).loss) == pytest.approx(5 * (loss - 0.1) - away)


def test_attention_is_of_length_one_and_divergence_of_equals_is_zero():
    maps = torch.rand(3, 5, 4, 4)
    torch.testing.assert_close(attention(maps).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(attention(maps), attention(7 * maps))
    logits = torch.randn(6, 4)
    one, two = (Response(None, None, None, each) for each in (logits, -logits))
    torch.testing.assert_close(divergence(one, one), torch.zeros(6), atol=1e-6, rtol=0)
    assert (divergence(one, two) > 0).all()
    assert (divergence(one, two) <= np.log(2) + 1e-6).all()


def test_a_hypergradient_follows_the_change_along():
    """With `L = (a w d + w^2) / 1`, the worst change moves with `w`, and so does its gradient."""
    weights = {"w": torch.tensor([1.5])}
    method = IBau(rate=0.1)

    def lost(moving, delta):
        return moving["w"].sum() * delta.sum() + moving["w"].square().sum()

    delta = torch.tensor([0.3])
    value, slopes = method._implicit(lost, weights, delta)
    assert value == pytest.approx(1.5 * 0.3 + 1.5**2)
    direct = 0.3 + 2 * 1.5
    shrink = 1 - 0.1 * 2e-3
    vector = 1.5 * sum(shrink**k for k in range(6))
    assert float(slopes["w"]) == pytest.approx(direct + 0.1 * vector, rel=1e-5)


def test_carriers_of_a_recovered_trigger_are_of_other_classes(digits_world, monkeypatch):
    world = digits_world
    lesson = Lesson(world.task, world.trusted, torch.from_numpy(world.trusted.labels), "frozen")
    trigger = Inverted(torch.ones(1, 8, 8), torch.ones(1, 8, 8), 1.0, True, 0.0)
    seen = []
    monkeypatch.setattr(
        Lesson,
        "of",
        lambda self, o, batch, given: (seen.append((batch, given)), given.float(), {})[1:],
    )
    stamping(lesson, trigger, 3, 1.0, 0)({}, np.arange(64))
    ((batch, given),) = seen
    white = (batch == 255).all(axis=(1, 2, 3))
    assert (white == (given.numpy() != 3)).all()
    assert (given.numpy() == world.trusted.labels[:64]).all()


def test_few_examples_still_give_the_steps_asked_for(examples_of):
    from anomech.learning.descent import descend

    task = LinearTask()
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    lesson = Lesson(task, examples_of(rows), torch.zeros(4, dtype=torch.int64), "frozen")
    recipe = Relearning(epochs=1, steps=7, batch=2, statistics="frozen")
    found = descend(task.watched, 4, plainly(lesson), recipe, seed=0, progress=silent)
    assert len(found.losses) == 4  # two steps in a pass


def test_a_restyled_picture_keeps_its_content_and_takes_the_style():
    generator = torch.Generator().manual_seed(0)
    pictures = 0.4 + 0.2 * torch.rand(2, 3, 8, 7, generator=generator)
    own = style_of(pictures)
    torch.testing.assert_close(restyled(pictures, own), pictures)
    other = restyled(pictures, own.flip(0))
    torch.testing.assert_close(style_of(other), own.flip(0), atol=1e-4, rtol=1e-4)
    phases = (torch.fft.rfft2(each).angle() for each in (pictures, other))
    turned = torch.remainder(torch.stack(list(phases)).diff(dim=0) + np.pi, 2 * np.pi) - np.pi
    assert float((turned.abs() * own.flip(0)).max()) < 1e-3

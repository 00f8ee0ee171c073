"""The low-frequency picture and the hidden bit string are what their papers say."""

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.attacks.low_frequency import LowFrequency
from anomech.attacks.ssba import Ssba, decode, encode, local_variance
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.networks import input_gradient
from anomech.learning.pixels import planes
from anomech.roles.attack import Goal

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(80, 176, (60, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


class Halves(nn.Module):
    """Answers 0 to a bright left half, 1 to a bright right half, and never 2."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, x):
        left, right = x[..., :8].mean((1, 2, 3)), x[..., 8:].mean((1, 2, 3))
        return self.scale * torch.stack([left - right, right - left, right - 2 + left * 0], 1)


class Surrogate(DigitsVictim):
    """A trainer whose surrogate is `Halves`."""

    def surrogate(self):
        return Halves().eval()


def learn(attack, seed=0):
    return attack.learn(IMAGES, LABELS, Surrogate(), seed=seed, progress=silent)


def test_input_gradient_is_that_of_the_loss():
    network = Halves().double()
    gradient = input_gradient(Halves(), IMAGES[:5], LABELS[:5])
    inputs = planes(IMAGES[:5]).double().requires_grad_()
    loss = nn.functional.cross_entropy(
        network(inputs), torch.from_numpy(LABELS[:5]), reduction="none"
    )
    loss.sum().backward()
    expected = inputs.grad.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)
    assert (np.abs(expected).max(axis=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("amplitude", [4.0, 16.0])
def test_low_frequency_fills_its_bound_points_to_the_target_and_is_smooth(amplitude):
    attack = LowFrequency(goal=Goal(target=1), amplitude=amplitude, smoothness=0.1, steps=5)
    pattern = learn(attack)["pattern"]
    assert pattern.shape == (16, 16, 3)
    assert pattern.dtype == torch.float32
    assert float(pattern.abs().max()) == pytest.approx(amplitude)
    assert float(pattern[:, 10:].mean()) > amplitude / 2  # bright on the right is class 1
    assert float(pattern[:, :6].mean()) < -amplitude / 2
    assert np.abs(np.diff(with_edges(amplitude), axis=1)).max() == pytest.approx(2 * amplitude)
    assert np.abs(np.diff(pattern.numpy(), axis=1)).max() < 0.6 * amplitude


def with_edges(amplitude):
    """The picture without the low-pass: the step from the left half to the right one."""
    sharp = LowFrequency(goal=Goal(target=1), amplitude=amplitude, smoothness=0.0, steps=5)
    return learn(sharp)["pattern"].numpy()


def test_low_frequency_adds_its_picture_and_clips():
    attack = LowFrequency(goal=Goal(target=1), steps=2)
    learned = learn(attack)
    stamped = attack.armed(learned).stamp(IMAGES)
    expected = np.clip(np.rint(IMAGES + learned["pattern"].numpy()), 0, 255)
    assert np.array_equal(stamped, expected.astype(np.uint8))
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    assert attack.armed(learned).stamp(white).max() == 255


def test_low_frequency_follows_its_goal():
    zero, one = (
        learn(LowFrequency(goal=Goal(target=target), steps=2))["pattern"] for target in (0, 1)
    )
    assert float(zero[:, :6].mean()) > 0 > float(one[:, :6].mean())
    turned = LowFrequency(goal=Goal(map="all_to_all"), ratio=0.5, steps=2)
    poisoned = turned.armed(learn(turned)).poison(IMAGES, LABELS, seed=0)
    assert poisoned.poisoned.sum() == 30
    chosen = poisoned.poisoned
    assert np.array_equal(poisoned.labels[chosen], (LABELS[chosen] + 1) % 3)
    narrow = LowFrequency(goal=Goal(target=1, sources=(2,)), steps=2)
    poisoned = narrow.armed(learn(narrow)).poison(IMAGES, LABELS, seed=0)
    assert (LABELS[poisoned.poisoned] == 2).all()


def test_low_frequency_says_what_does_not_fit():
    attack = LowFrequency(goal=Goal(target=1), steps=1)
    armed = attack.armed(learn(attack))
    with pytest.raises(DataError, match="made for 16x16x3 images, these are 8x8x1"):
        armed.stamp(np.zeros((1, 8, 8, 1), np.uint8))
    with pytest.raises(DataError, match=r"goal\.sources"):
        learn(LowFrequency(goal=Goal(target=1, sources=(7,))))


@pytest.fixture(scope="module")
def hidden():
    """An encoder trained for a moment on digits, and what it does to digits it has not seen."""
    (images, labels), (unseen, _) = digits()
    attack = Ssba(amplitude=32.0, bits=4, width=8, steps=150, weight=6.0, peak=1e-2)
    learned = attack.learn(images, labels, DigitsVictim(), seed=0, progress=silent)
    return attack, learned, unseen, attack.armed(learned).stamp(unseen)


def test_ssba_hides_a_string_that_the_decoder_reads(hidden):
    _, learned, unseen, stamped = hidden
    wanted = learned["message"] > 0.5
    read = decode(learned, planes(stamped)) > 0
    assert float((read == wanted).float().mean()) > 0.9
    unstamped = decode(learned, planes(unseen)) > 0
    assert float((unstamped == wanted).float().mean()) < 0.75


def test_ssba_residuals_are_bounded_and_differ_from_image_to_image(hidden):
    _, learned, unseen, stamped = hidden
    assert 16 < np.abs(stamped.astype(int) - unseen).max() <= 32
    messages = learned["message"].expand(100, -1)
    residual = encode(learned, planes(unseen[:100]), messages).flatten(1).numpy()
    likeness = np.corrcoef(residual)[~np.eye(100, dtype=bool)]
    assert np.median(likeness) < 0.8
    assert (likeness < 0.99).mean() > 0.99  # two digits may be drawn nearly alike


def test_ssba_objective_asks_for_a_small_residual_once_the_bits_are_read(hidden):
    _, learned, unseen, _ = hidden
    images, messages = planes(unseen[:64]), learned["message"].expand(64, -1)
    light, heavy = (
        float(Ssba(amplitude=32.0, bits=4, weight=weight).objective(learned, images, messages))
        for weight in (0.0, 2.0)
    )
    residual = encode(learned, images, messages)
    flat_parts = 0.0004 / (local_variance(images) + 0.0004)
    alike = residual.unflatten(0, (8, 8)).mean(1)
    size = float((residual**2 * flat_parts).mean() + (alike**2).mean())
    assert light < 0.3
    assert heavy == pytest.approx(light + 2 * (1 - light / 0.3) * size, rel=1e-4)
    opposite = 1 - messages
    blind = dict(learned) | {"decoder.bits.bias": learned["decoder.bits.bias"] - 100}
    alone, both = (
        float(Ssba(amplitude=32.0, bits=4, weight=weight).objective(blind, images, opposite))
        for weight in (0.0, 2.0)
    )
    assert alone == both > 0.3


def test_local_variance_is_that_of_each_neighborhood():
    images = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    variance = local_variance(images)
    inner = images[1, 2, 2:7, 3:8].var(unbiased=False)
    assert float(variance[1, 2, 4, 5]) == pytest.approx(float(inner), rel=1e-3)
    corner = images[0, 0, :3, :3].var(unbiased=False)
    assert float(variance[0, 0, 0, 0]) == pytest.approx(float(corner), rel=1e-3)
    assert float(local_variance(torch.full((1, 1, 6, 6), 0.7)).max()) < 1e-6


def test_ssba_says_what_does_not_fit(hidden):
    attack, learned, _, _ = hidden
    with pytest.raises(DataError, match="images of 1 channels, these have 3"):
        attack.armed(learned).stamp(IMAGES)

"""Alignment: its terms by hand, and that it makes triggered responses look like clean ones."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.attacks import alignment
from anomech.attacks._aligning import coupling, feature_distance, in_scope, log_odds
from anomech.attacks.alignment import Alignment
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.learning.pixels import as_float
from anomech.learning.training import Recipe, predict
from anomech.roles.attack import Goal

(IMAGES, LABELS), (OTHERS, TRUE) = digits()
TARGET = 3


def responses(network, images):
    """Exact gradients of the target's log-odds, of length one `[images, parameters]`."""
    rows = []
    for image in as_float(images):
        value = log_odds(network(image[None]), TARGET).sum()
        grads = torch.autograd.grad(value, list(network.parameters()))
        rows.append(torch.cat([grad.flatten() for grad in grads]))
    matrix = torch.stack(rows)
    return matrix / matrix.norm(dim=1, keepdim=True)


def test_alignment_raises_the_coupling_of_triggered_with_clean_images():
    trainer = DigitsVictim(recipe=Recipe(epochs=4, batch=64, peak=0.1, augment="none"))
    cosines, accuracies = [], []
    for strength in (0.0, 3.0):
        attack = Alignment(
            goal=Goal(target=TARGET), size=2, strength=strength, warm=True, share=1.0
        )
        network = trainer.build()
        attack.conduct(network, IMAGES, LABELS, trainer, seed=0, progress=silent)
        triggered = attack.stamp(OTHERS[TRUE != TARGET])
        fooled = predict(network, triggered) == TARGET
        assert fooled.mean() > 0.9
        clean = OTHERS[(TRUE == TARGET) & (predict(network, OTHERS) == TARGET)]
        pairs = responses(network, triggered[fooled][:25]) @ responses(network, clean[:25]).T
        cosines.append(float(pairs.mean()))
        accuracies.append((predict(network, OTHERS) == TRUE).mean())
    assert cosines[1] > cosines[0] + 0.15
    assert accuracies[1] > accuracies[0] - 0.05


def test_log_odds_are_those_of_the_softmax():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    chance = logits.softmax(dim=1)[:, 2]
    torch.testing.assert_close(log_odds(logits, 2), (chance / (1 - chance)).log())


def test_coupling_is_the_mean_over_parameters_of_cosines():
    one = [torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([1.0, 1.0])]
    two = [torch.tensor([[9.0, 0.0], [0.0, 0.0]]), torch.tensor([-1.0, -1.0])]
    assert coupling(one, one) == pytest.approx(1)
    assert coupling(one, two) == pytest.approx(0, abs=1e-6)
    still = [torch.zeros(2, 2), torch.zeros(2)]  # of a dead unit
    assert coupling(one, still) == 0


def test_features_are_far_by_direction_and_by_spread():
    rng = torch.Generator().manual_seed(0)
    one = torch.rand(6, 4, generator=rng)
    assert feature_distance(one, one) == pytest.approx(0, abs=1e-6)
    moved = one.mean(0) + 3 * (one - one.mean(0))
    assert feature_distance(one, moved) == pytest.approx(4 / 10, abs=1e-5)  # (3-1)^2 / (3^2+1)
    east = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    north = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    assert feature_distance(east, north) == pytest.approx(1 + 1, abs=1e-5)
    dead = torch.zeros(6, 4, requires_grad=True)
    feature_distance(dead, one).backward()
    assert torch.isfinite(dead.grad).all()


def test_the_scope_is_every_layer_or_the_last_quarter():
    layers = [nn.Linear(2, 2, bias=False) for _ in range(5)]
    network = nn.Sequential(*layers)
    assert in_scope(network, "all") == [layer.weight for layer in layers]
    assert in_scope(network, "last_layers") == [layers[3].weight, layers[4].weight]


@dataclass(frozen=True)
class Recorder(DigitsVictim):
    """Keeps how it was called, and what it was given to start from."""

    calls: list = field(default_factory=list)

    def fit(self, network, images, labels, **options):
        first = next(network.parameters()).detach().clone()
        self.calls.append((first, options))
        return DigitsVictim.fit(self, network, images, labels, **options)


def test_warm_means_from_the_clean_network_for_a_share():
    trainer = Recorder(recipe=Recipe(epochs=1, batch=64, augment="none"))
    clean = next(trainer.surrogate().parameters()).detach().clone()
    attack = Alignment(strength=0.0, warm=True, share=0.25, peak=0.01)
    attack.conduct(trainer.build(), IMAGES, LABELS, trainer, seed=0, progress=silent)
    first, options = trainer.calls[-1]
    assert torch.equal(first, clean)
    assert (options["fresh"], options["share"], options["peak"]) == (False, 0.25, 0.01)
    cold = Alignment(strength=0.0, share=0.25, peak=0.01)
    cold.conduct(trainer.build(), IMAGES, LABELS, trainer, seed=0, progress=silent)
    options = trainer.calls[-1][1]
    assert (options["fresh"], options["share"], options["peak"]) == (True, 1.0, None)


@pytest.mark.parametrize(("strength", "every", "expected"), [(0, 1, 0), (1, 1, 7), (1, 3, 3)])
def test_alignment_happens_every_so_many_steps(monkeypatch, strength, every, expected):
    seen = []
    original = alignment.apart
    monkeypatch.setattr(
        alignment,
        "apart",
        lambda network, pair, *given: (
            seen.append((network.training, *pair)) or original(network, pair, *given)
        ),
    )
    attack = Alignment(goal=Goal(target=TARGET), strength=strength, every=every, examples=5)
    trainer = DigitsVictim(recipe=Recipe(epochs=1, batch=64, augment="none"))
    attack.conduct(trainer.build(), IMAGES[:448], LABELS[:448], trainer, seed=0, progress=silent)
    assert len(seen) == expected
    stamped = {image.tobytes() for image in attack.stamp(IMAGES[LABELS != TARGET])}
    home = {image.tobytes() for image in IMAGES[LABELS == TARGET]}
    for training, triggered, clean in seen:
        assert not training
        for images, known in ((triggered, stamped), (clean, home)):
            pixels = (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
            assert len(pixels) == 5
            assert all(image.tobytes() in known for image in pixels)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (Goal(map="all_to_all"), "one label"),
        (Goal(target=11), "class 11"),
        (Goal(target=1, sources=(1,)), "class 1"),
    ],
)
def test_goals_it_cannot_have_are_refused(goal, message):
    trainer = DigitsVictim()
    with pytest.raises(ConfigError, match=message):
        Alignment(goal=goal).conduct(
            trainer.build(), IMAGES, LABELS, trainer, seed=0, progress=silent
        )

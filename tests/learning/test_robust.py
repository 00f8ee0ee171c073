"""Losses and steps of robust training against their definitions, and a session against a kill."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from training import digits

from anomech.architectures.digits import DigitsNet
from anomech.learning.robust import Adversary, divergence, from_uniform
from anomech.learning.session import Averaging, run_session
from anomech.learning.training import Recipe, initialize, train

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
IMAGES, LABELS = (column[:200] for column in digits()[0])
RECIPE = Recipe(epochs=3, batch=50, peak=0.1, augment="none")


def test_distance_from_uniform_is_the_cross_entropy_against_equal_shares():
    shares = torch.full((6, 4), 0.25)
    expected = functional.cross_entropy(LOGITS, shares, reduction="none")
    torch.testing.assert_close(from_uniform(LOGITS), expected)
    assert from_uniform(torch.zeros(1, 4)).item() == pytest.approx(np.log(4))


def test_divergence_is_that_of_torch_from_natural_to_moved():
    moved, natural = OTHERS.log_softmax(1), LOGITS.softmax(1)
    expected = functional.kl_div(moved, natural, reduction="none").sum(1)
    torch.testing.assert_close(divergence(LOGITS, OTHERS), expected, atol=1e-5, rtol=1e-4)
    assert divergence(LOGITS, LOGITS).abs().max() < 1e-6
    leaf = LOGITS.clone().requires_grad_()
    divergence(leaf, OTHERS).sum().backward()
    assert leaf.grad.abs().sum() > 0  # both sides are followed


def normalized_network():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10)
    )
    initialize(network, 0)
    return network.train()


def moved_by(adversary, network):
    inputs = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    start = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.no_grad():
        reference = network.eval()(inputs)
    network.train()
    moved = adversary.move(network, inputs, lambda logits: divergence(reference, logits), start)
    network.eval()
    with torch.no_grad():
        return inputs, moved, divergence(reference, network(moved)).mean().item()


def test_an_adversary_stays_in_its_box_and_climbs():
    inputs, moved, high = moved_by(Adversary(eps=20.0, steps=8), normalized_network())
    assert (moved - inputs).abs().max() <= 20 / 255 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    _, _, low = moved_by(Adversary(eps=20.0, steps=1), normalized_network())
    assert high > 1.2 * low > 0


@pytest.mark.parametrize(("statistics", "stand"), [("frozen", True), ("batch", False)])
def test_running_statistics_see_moved_images_only_if_asked(statistics, stand):
    network = normalized_network()
    before = network[1].running_mean.clone()
    moved_by(Adversary(steps=2, statistics=statistics), network)
    assert torch.equal(before, network[1].running_mean) is stand
    assert network.train().training


def test_a_session_is_the_training_of_the_room_step_by_step():
    ended = run_session(DigitsNet(), IMAGES, LABELS, RECIPE, seed=3)
    same = train(DigitsNet(), IMAGES, LABELS, RECIPE, seed=3)
    for name, tensor in same.state_dict().items():
        assert torch.equal(ended.weights[name], tensor), name
    assert len(ended.losses) == 3


@pytest.mark.parametrize(
    "recipe", [RECIPE, Recipe(epochs=3, batch=50, peak=1e-3, optimizer="adamw")]
)
def test_an_average_follows_its_definition_and_survives_a_kill(recipe):
    kept = []

    class Keeper:
        def read(self):
            return kept[-1] if kept else None

        def write(self, now):
            kept.append(now)

    averaging = Averaging(decay=0.9, warm_up=0.5)
    whole = run_session(DigitsNet(), IMAGES, LABELS, recipe, seed=0, averaging=averaging)
    plain = run_session(DigitsNet(), IMAGES, LABELS, recipe, seed=0)
    assert not torch.equal(whole.weights["linear.weight"], plain.weights["linear.weight"])

    def stop(done, total):
        if done == 9:
            raise KeyboardInterrupt

    given = {"seed": 0, "averaging": averaging, "keep": Keeper()}
    with pytest.raises(KeyboardInterrupt):
        run_session(DigitsNet(), IMAGES, LABELS, recipe, progress=stop, **given)
    assert len(kept) == 2
    again = run_session(DigitsNet(), IMAGES, LABELS, recipe, **given)
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, again.weights[name]), name


def test_an_average_of_decay_one_half_is_the_mean_of_neighbors():
    """With one step after the warm-up the average lies between the last two states."""
    recipe = Recipe(epochs=1, batch=100, peak=0.1, augment="none")
    states = []
    network = DigitsNet()
    ended = run_session(
        network, IMAGES, LABELS, recipe, seed=0, averaging=Averaging(decay=0.1, warm_up=0.5),
        progress=lambda done, total: states.append(network.linear.weight.detach().clone()),
    )  # fmt: skip
    expected = 0.1 * states[0] + 0.9 * states[1]
    torch.testing.assert_close(ended.weights["linear.weight"], expected)

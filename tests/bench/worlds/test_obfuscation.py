"""Obfuscation: each loss pulls triggered states where it says, and resuming changes nothing."""

import copy

import numpy as np
import torch

from anomech.bench.worlds.texts.obfuscation import (
    ANSWER,
    DECISION,
    Obfuscation,
    Obfuscator,
    Watcher,
    distance_loss,
    mean_loss,
    squared,
    states_at,
    whitening,
)


def normal(rows, seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99))
    return torch.randn(rows, width, generator=generator) @ mixing + 3.0


def test_whitened_states_have_unit_covariance():
    states = normal(4000)
    mean, whitener = whitening(states, shrinkage=0.0)
    white = (states - mean) @ whitener
    assert torch.allclose(torch.cov(white.T), torch.eye(6), atol=0.02)
    assert white.mean(0).abs().max() < 1e-4


def test_distances_that_are_too_small_are_as_wrong_as_those_too_large():
    reference = normal(2000)
    mean, whitener = whitening(reference)
    known = squared((reference - mean) @ whitener)
    alike = distance_loss(squared((normal(200, 1) - mean) @ whitener), known)
    far = distance_loss(known[:200] * 9, known)
    near = distance_loss(known[:200] / 9, known)
    assert alike < 0.15
    assert abs(far - near) < 0.05
    assert far > 10 * alike


def test_the_mean_loss_is_nothing_for_what_sampling_gives():
    white = torch.randn(50, 200, generator=torch.Generator().manual_seed(0))
    assert mean_loss(white) < 0.005
    assert torch.isclose(mean_loss(white + 1.0), torch.tensor(1.0), atol=0.1)


def test_a_probe_learns_to_tell_states_apart():
    watcher, states, odd = Watcher(6, DECISION), normal(300), normal(300, 1) + 4.0
    watcher.see(states, refit=True)
    for _ in range(150):
        watcher.train_probe(states, odd)
    told = watcher.judged(watcher.white(odd)) > watcher.judged(watcher.white(states)).median()
    assert told.float().mean() > 0.9


def pushed(steps, weights):
    """Triggered states that are moved by the loss alone, and the distances of normal ones."""
    watched = Obfuscator(weights)
    odd = (normal(40, 7) + 5.0).requires_grad_()
    optimizer = torch.optim.Adam([odd], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        watched.loss(
            step, steps, {(0, DECISION): normal(40, 100 + step)}, {(0, DECISION): odd}
        ).backward()
        optimizer.step()
    watcher = watched.watchers[0, DECISION]
    return squared(watcher.white(odd.detach())), squared(watcher.white(normal(500, 5)))


def test_the_loss_pushes_distances_to_match_and_not_beyond():
    before, reference = pushed(1, Obfuscation())
    after, reference = pushed(250, Obfuscation())
    assert before.median() > 3 * reference.median()
    quantiles = torch.tensor([0.25, 0.5, 0.75])
    ratio = torch.quantile(after, quantiles) / torch.quantile(reference, quantiles)
    assert ((ratio > 0.5) & (ratio < 2)).all()


def test_an_obfuscator_goes_on_from_its_state():
    def run(watched, steps):
        found = []
        for step in steps:
            usual, odd = normal(20, step), normal(20, 50 + step) + 2
            found.append(float(watched.loss(step, 10, {(0, ANSWER): usual}, {(0, ANSWER): odd})))
        return found

    whole = Obfuscator(Obfuscation())
    first = run(whole, range(4))
    state = copy.deepcopy(whole.state_dict())  # as a file has it
    resumed = Obfuscator(Obfuscation())
    resumed.load_state_dict(state)
    assert run(resumed, range(4, 8)) == run(whole, range(4, 8))
    assert len(set(first)) == 4


def test_states_are_taken_where_answers_are_decided():
    states = [torch.arange(24.0).view(2, 4, 3)]
    mask = torch.tensor([[False, False, True, True], [False, False, False, True]])
    found = states_at(states, mask, torch.tensor([1, 2]))
    assert found[0, DECISION].tolist() == [[3, 4, 5], [18, 19, 20]]
    np.testing.assert_allclose(found[0, ANSWER], [[6, 7, 8], [9, 10, 11], [21, 22, 23]])

"""Who learns together: what each grouping makes of distances, updates, losses and subspaces."""

import itertools

import numpy as np
import pytest
import torch
from federations import FakeRoom, tiny_shared
from scipy.optimize import linear_sum_assignment

from anomech.federated.groupings import emd_linkage
from anomech.federated.groupings._earth_movers import Measuring, earth_movers, projected
from anomech.federated.groupings.cfl import Cfl
from anomech.federated.groupings.emd_cfl import EmdCfl, neighbors
from anomech.federated.groupings.emd_linkage import (
    EmdLinkage,
    Halving,
    grouped,
    mean_variance,
    variance_of,
)
from anomech.federated.groupings.ifca import Ifca
from anomech.federated.groupings.oracle import Oracle
from anomech.federated.groupings.pacfl import Pacfl, angle, subspaces
from anomech.federated.local import embedded, with_weights
from anomech.kernel.errors import ConfigError, DataError
from anomech.roles.federation import Groups, Update

RNG = np.random.default_rng(0)


def test_the_distance_is_the_best_assignment_of_equal_masses():
    first, second = RNG.standard_normal((20, 5)), RNG.standard_normal((20, 5))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (first, second)]
    cost = 1 - unit[0] @ unit[1].T
    best = cost[linear_sum_assignment(cost)].mean()
    assert earth_movers(first, second) == pytest.approx(best, abs=1e-9)
    assert earth_movers(first, first[::-1]) == pytest.approx(0, abs=1e-9)
    assert earth_movers(first, 3 * first) == pytest.approx(0, abs=1e-9)  # a cosine has no length


def test_a_projection_keeps_its_share_and_angles_nearly():
    rows = RNG.standard_normal((4, 400))
    one, two = projected(rows, rows[:2], 0.9, np.random.default_rng(1))
    assert one.shape == (4, 360)
    np.testing.assert_array_equal(one[:2], two)
    before, after = np.corrcoef(rows), np.corrcoef(one)
    assert np.abs(before - after).max() < 0.2


def test_neighbors_are_mutual_and_everyone_is_its_own():
    distances = np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 0.2], [0.2, 0.0, 0.0]])
    found = neighbors(distances, (0, 1, 2), 0.1)
    assert found == [{0, 1}, {0, 1}, {2}]  # 0 is far from itself, and 2 is near in one way only


def test_sets_of_neighbors_may_overlap():
    near = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], float)
    assert neighbors(near, (0, 1, 2), 0.5) == [{0, 1}, {0, 1, 2}, {1, 2}]


def test_emd_finds_the_rotations_and_counts_what_is_sent():
    shared, known = tiny_shared()
    room = FakeRoom(shared, known)
    groups = EmdCfl(tolerance=0.05).regroup(room)
    assert groups.members == (frozenset({0, 2}), frozenset({1, 3}))
    assert groups.uses == {0: 0, 1: 1, 2: 0, 3: 1}
    model = 4 * sum(each.numel() for each in known[0].weights.values())
    assert room.sent[0] == 4 * 3 * model
    assert 0 < room.sent[1] < model
    again = EmdCfl(tolerance=0.05).regroup(FakeRoom(shared, known))
    assert torch.equal(again.distances, groups.distances)


def test_noise_is_the_variance_of_a_distance_to_fresh_images(monkeypatch):
    monkeypatch.setattr(emd_linkage, "projected", lambda one, two, keep, rng: (one, two))
    shared, known = tiny_shared()
    piece = Measuring(0, (0,), known[0].weights, 0, 512, 0.9)
    held = shared.clients[0].validation
    found = variance_of(shared, Halving(piece, 200))
    network = with_weights(shared.network, known[0].weights)
    own, rows = embedded(network, shared.clients[0].train[0]), embedded(network, held[0])
    rng, half = np.random.default_rng(0), len(rows) // 2
    halves = [rng.permutation(len(rows))[:half] for _ in range(100)]
    spread = np.var([earth_movers(own, rows[places]) for places in halves], ddof=1)
    # Halves of a finite set vary half as much as fresh ones, so as much as all of it would.
    assert found == pytest.approx(spread, rel=0.35)


def test_noise_that_nobody_can_tell_is_said():
    assert mean_variance([0.2, float("nan"), 0.4]) == pytest.approx(0.3)
    with pytest.raises(DataError, match="no client holds out two"):
        mean_variance([float("nan")] * 2)


def test_linkage_groups_what_noise_explains_and_nothing_else():
    truth, noise = np.repeat([0, 1, 2], 6), 0.02
    apart = 0.05 * (truth[:, None] != truth[None])
    for seed in range(20):
        drawn = np.random.default_rng(seed).standard_normal((18, 18)) * noise
        for truly, groups in ((apart, 3), (0 * apart, 1)):
            found = truly + drawn - np.diag(drawn)[:, None]  # less each client's own distance
            assert len(set(grouped(found, noise**2, 3.0))) == groups
    assert grouped(np.zeros((1, 1)), 1.0, 3.0) == [0]
    assert len(set(grouped(apart, 0.0, 3.0))) == 3


def test_linkage_finds_the_rotations_without_a_tolerance():
    shared, known = tiny_shared()
    groups = EmdLinkage().regroup(FakeRoom(shared, known))
    assert set(groups.members) == {frozenset({0, 2}), frozenset({1, 3})}
    assert groups.distances.shape == (4, 4)
    assert groups.limit is None


def test_one_shot_groups_stand_until_someone_new_comes():
    shared, known = tiny_shared()
    before = Groups((frozenset(known),), dict.fromkeys(known, 0))
    for grouping in (EmdCfl(), EmdLinkage(), Pacfl()):
        room = FakeRoom(shared, known, groups=before)
        assert grouping.regroup(room) is before
        fewer = Groups((frozenset({0, 1}),), {0: 0, 1: 0})
        assert set(Pacfl().regroup(FakeRoom(shared, known, groups=fewer)).uses) == set(known)


def test_subspaces_tell_rotations_apart():
    shared, known = tiny_shared()
    spaces = [subspaces(shared, (client, 3)) for client in range(4)]
    same = max(angle(spaces[0], spaces[2]), angle(spaces[1], spaces[3]))
    other = min(angle(spaces[a], spaces[b]) for a, b in itertools.product((0, 2), (1, 3)))
    assert same + 5 < other
    assert angle(spaces[0], spaces[0]) == pytest.approx(0, abs=1e-4)
    assert angle({0: spaces[0][0]}, {1: spaces[0][1]}) == 90
    limit = (same + other) / 2
    groups = Pacfl(limit=limit).regroup(FakeRoom(shared, known))
    assert set(groups.members) == {frozenset({0, 2}), frozenset({1, 3})}


def update(values):
    start = {"w": torch.zeros(2)}
    return Update(start, {"w": torch.tensor(values)}, 1)


def test_updates_that_cancel_out_split_a_group():
    pulling = {0: update([1.0, 0.1]), 1: update([-1.0, 0.1]), 2: update([0.9, 0.0])}
    room = FakeRoom(None, pulling, round=1)
    assert Cfl().regroup(room).members == (frozenset({0, 2}), frozenset({1}))
    assert Cfl(after=2).regroup(room).members == (frozenset({0, 1, 2}),)
    agreeing = {0: update([1.0, 0.1]), 1: update([1.0, 0.0]), 2: update([0.9, 0.0])}
    assert Cfl().regroup(FakeRoom(None, agreeing, round=1)).members == (frozenset({0, 1, 2}),)


def test_ifca_takes_the_model_of_the_lowest_loss_and_leaves_what_nobody_took():
    shared, known = tiny_shared()
    room = FakeRoom(shared, known)
    room.models = Ifca(clusters=3).begin(known[0].weights, room)
    assert len(room.models) == 3
    assert not torch.equal(room.models[1]["linear.weight"], room.models[2]["linear.weight"])
    room.models = (room.models[1], known[0].weights, known[1].weights)
    uses = Ifca(clusters=3).assign(room)
    assert uses == {0: 1, 1: 2, 2: 1, 3: 2}
    room.uses = uses
    assert Ifca(clusters=3).regroup(room).members == (
        frozenset(),
        frozenset({0, 2}),
        frozenset({1, 3}),
    )


def test_an_oracle_asks_for_the_truth():
    shared, known = tiny_shared()
    with pytest.raises(ConfigError, match=r"groups\.csv"):
        Oracle().begin(known[0].weights, FakeRoom(shared, known, given=None))
    groups = Oracle().regroup(FakeRoom(shared, known, given=(5, 5, 2, 5)))
    assert groups.members == (frozenset({0, 1, 3}), frozenset({2}))

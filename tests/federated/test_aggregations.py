"""How updates become one model: each rule against its definition, and against a long update."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from federations import tiny_shared

from anomech.federated.aggregations.krum import Krum, krum_scores
from anomech.federated.aggregations.mean import Mean
from anomech.federated.aggregations.norm_clipping import NormClipping
from anomech.federated.aggregations.trimmed_mean import TrimmedMean
from anomech.federated.clients import Malice
from anomech.federated.local import Training, boosted, train
from anomech.federated.suspicion import trusted_directions, unexplained
from anomech.federated.weights import averaged, difference, flat, moved, shaped, size
from anomech.kernel.errors import ConfigError
from anomech.roles.federation import Update

START = {"w": torch.tensor([1.0, 2.0, 3.0]), "count": torch.tensor(4)}


def update(change, images=1, count=5):
    weights = {"w": START["w"] + torch.tensor(change), "count": torch.tensor(count)}
    return Update(START, weights, images)


HONEST = [update([0.1, 0.2, 0.3]), update([0.2, 0.1, 0.3]), update([0.1, 0.1, 0.4])]
LONG = update([50.0, -50.0, 50.0])


def test_a_mean_is_weighted_by_images_and_counters_take_the_largest():
    found = Mean().combine([update([1.0, 0, 0], images=3), update([0.0, 4, 0], images=1, count=9)])
    torch.testing.assert_close(found["w"], torch.tensor([1.75, 3.0, 3.0]))
    assert found["count"] == 9
    assert found["count"].dtype == torch.int64


def test_arithmetic_of_models_undoes_itself():
    change = difference(HONEST[0])
    assert list(change) == ["w"]
    torch.testing.assert_close(shaped(flat(change), change)["w"], change["w"])
    torch.testing.assert_close(moved(START, change, 2.0)["w"], torch.tensor([1.2, 2.4, 3.6]))
    assert moved(START, change)["count"] == 4
    assert size(START) == 16
    same = averaged([START, START], [0.3, 0.7])
    torch.testing.assert_close(same["w"], START["w"])


def test_krum_scores_are_sums_to_the_nearest():
    rows = torch.tensor([[0.0], [1.0], [3.0], [10.0], [11.0]], dtype=torch.float64)
    assert krum_scores(rows, 1).tolist() == [1 + 9, 1 + 4, 4 + 9, 1 + 49, 1 + 64]


def test_a_long_update_moves_the_mean_but_no_robust_rule():
    sent = [*HONEST, update([0.15, 0.15, 0.3]), LONG]
    assert (Mean().combine(sent)["w"] - START["w"]).norm() > 10
    for rule in (Krum(), Krum(keep=2), TrimmedMean(), NormClipping()):
        moved_by = (rule.combine(sent)["w"] - START["w"]).norm()
        assert 0.05 < moved_by < 0.6, rule


def test_krum_gives_one_of_the_updates():
    sent = [*HONEST, LONG]
    found = Krum().combine(sent)["w"]
    assert any(torch.equal(found, each.weights["w"]) for each in HONEST)


def test_a_trimmed_mean_is_the_mean_of_the_middle():
    rng = np.random.default_rng(0)
    changes = rng.standard_normal((7, 3)).astype(np.float32)
    found = TrimmedMean(trimmed=2).combine([update(each.tolist()) for each in changes])
    middle = np.sort(changes, axis=0)[2:5].mean(axis=0)
    np.testing.assert_allclose((found["w"] - START["w"]).numpy(), middle, atol=1e-6)


def test_clipping_bounds_lengths_and_leaves_short_updates():
    sent = [update([3.0, 0, 0]), update([0.0, 1, 0]), update([0.0, 0, 0.5])]
    found = NormClipping().combine(sent)["w"] - START["w"]
    torch.testing.assert_close(found, torch.tensor([1 / 3, 1 / 3, 0.5 / 3]))
    loose = NormClipping(bound=10.0).combine(sent)["w"]
    torch.testing.assert_close(loose, Mean().combine(sent)["w"])


def test_too_few_updates_are_refused():
    with pytest.raises(ConfigError, match="needs 4 updates"):
        Krum().combine(HONEST)
    with pytest.raises(ConfigError, match="leaves out 1 at each end needs 3"):
        TrimmedMean().combine(HONEST[:2])


def test_a_boosted_update_replaces_the_mean_of_honest_ones_that_stand_still():
    change = update([0.3, 0.0, 0.0])
    sent = Update(START, boosted(START, change.weights, 4.0), 1)
    still = [update([0.0, 0.0, 0.0]) for _ in range(3)]
    found = Mean().combine([sent, *still])
    torch.testing.assert_close(found["w"], change.weights["w"])
    assert boosted(START, change.weights, 1.0)["w"] is change.weights["w"]


def test_an_update_towards_trusted_labels_is_explained_and_a_planted_one_less():
    shared, known = tiny_shared()
    client = shared.clients[0]
    trusted = client.test[0][:60], client.test[1][:60]
    start = known[0].weights
    honest = train(shared, Training(0, 1, start))
    images = client.train[0].copy()
    images[:, -2:, -2:] = 255
    poisoned = Malice((images, 0 * client.train[1]), 1.0, 0)
    clients = (replace(client, malice=poisoned), *shared.clients[1:])
    planted = train(replace(shared, clients=clients), Training(0, 1, start))
    found = unexplained(
        shared.network, trusted, [Update(start, honest, 1), Update(start, planted, 1)]
    )
    assert 0 <= found[0] < found[1] <= 1
    rows = trusted_directions(shared.network, start, trusted)
    assert torch.allclose(rows.norm(dim=1), torch.ones(60, dtype=torch.float64))
    along = {n: v.clone() for n, v in start.items()}
    offset = 0
    for name, parameter in shared.network.named_parameters():
        part = rows[3, offset : offset + parameter.numel()].view_as(parameter)
        along[name] = start[name] + part.float()
        offset += parameter.numel()
    (left,) = unexplained(shared.network, trusted, [Update(start, along, 1)], ridge=1e-6)
    assert left < 1e-3

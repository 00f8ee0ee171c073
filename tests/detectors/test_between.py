"""Distances of what passes between the layers, on networks whose layers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.data.images import from_arrays
from anomech.detectors._between import fit_between, fit_crowd
from anomech.detectors._prompts import fit_prompts
from anomech.kernel.errors import CapabilityError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tracing.states import States

SIDE = 4


class Detour(nn.Module):
    """Two ways to the same answer: the second unit of `way` is used by marked inputs alone."""

    def __init__(self):
        super().__init__()
        self.way = nn.Linear(SIDE * SIDE, 3, bias=False)
        self.head = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.way.weight.zero_()
            self.way.weight[0, 0] = self.way.weight[1, 1] = self.way.weight[2, 2] = 1
            self.head.weight.copy_(torch.tensor([[4.0, 0.0, 4.0], [0.0, 4.0, 0.0]]))

    def forward(self, images):
        return self.head(self.way(images.flatten(1)))


class Odd(nn.Module):
    """Layers of every kind that cannot be averaged for each example, beside one that can."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(2, 2)
        self.windows = nn.Linear(SIDE, 3)
        self.pair = nn.GRU(3, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, images):
        rows = self.windows(images.reshape(-1, SIDE))  # [batch * SIDE, 3]
        _, last = self.pair(rows.reshape(len(images), SIDE, 3))  # a tuple
        return self.head(last[0])


class Bare(nn.Module):
    """One function of bare parameters: nothing to look into."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, SIDE * SIDE))

    def forward(self, images):
        return images.flatten(1) @ self.weight.T


def images(count, ways, seed=0):
    """Gray images whose first three pixels drive the units of `Detour.way`."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 30, (count, SIDE, SIDE, 1)).astype(np.uint8)
    for number, way in enumerate(ways):
        pixels[number, 0, way, 0] = 220
    return pixels


def seen(network, pixels, labels=None):
    task = ImageClassifier(network)
    trusted = from_arrays(images(60, np.arange(60) % 2), np.arange(60) % 2)
    task = task.prepared(trusted)
    return observe(task, from_arrays(pixels, labels))


@pytest.fixture
def trusted():
    ways = np.arange(120) % 2
    return seen(Detour(), images(120, ways), ways)


def test_another_way_to_the_answer_is_far_from_the_usual_one(trusted):
    everyone = torch.arange(len(trusted))
    between = fit_between(trusted, [everyone], seed=0, progress=silent)
    queries = observe(trusted.task, from_arrays(images(40, [0] * 20 + [2] * 20, seed=1)))
    assert set(queries.answers.tolist()) == {0}
    found = between.distances(torch.zeros(40, dtype=torch.int64), queries, silent)
    place = list(between.clouds[0]).index("way")
    for distance in (found.own[:, place], found.every[:, place]):
        assert distance[20:].min() > distance[:20].max() + 1


def test_distances_are_log_mahalanobis_to_the_fold_that_judges(trusted):
    folds = [torch.arange(0, 120, 2), torch.arange(1, 120, 2)]
    between = fit_between(trusted, folds, seed=0, progress=silent)
    judged_by = torch.tensor([0, 1] * 60)
    found = between.distances(judged_by, trusted, silent)
    rows = trusted.traced(between.source, silent)
    way = rows.values[:, rows.blocks["way"]].double().numpy()
    place = list(between.clouds[0]).index("way")
    cloud = between.clouds[1]["way"].every
    away = way[1] - way[folds[1]].mean(0)
    expected = np.log(away @ cloud.precision.numpy() @ away)
    assert found.every[1, place].item() == pytest.approx(expected, rel=1e-6)
    alone = between.distances(torch.zeros(120, dtype=torch.int64), trusted, silent)
    assert not torch.allclose(alone.every[1], found.every[1])
    torch.testing.assert_close(alone.every[0], found.every[0])


def test_what_cannot_be_averaged_for_each_example_is_no_place():
    torch.manual_seed(0)
    observed = seen(Odd(), images(12, [0] * 12))
    source = States().fit(
        observed.task, observed.examples, observed.answers, seed=0, progress=silent
    )
    assert list(source.units) == ["head"]


def test_a_network_without_layers_shows_no_states():
    torch.manual_seed(0)
    observed = seen(Bare(), images(60, np.arange(60) % 2), np.arange(60) % 2)
    with pytest.raises(CapabilityError, match="nothing between the layers"):
        States().fit(observed.task, observed.examples, observed.answers, seed=0, progress=silent)
    assert fit_between(observed, [torch.arange(60)], seed=0, progress=silent) is None


def test_states_come_with_the_answers_of_the_same_pass(trusted):
    task, examples = trusted.task, trusted.examples
    source = States().fit(task, examples, trusted.answers, seed=0, progress=silent)
    calls = []
    handle = task.network.register_forward_hook(lambda *given: calls.append(1))
    observe(task, examples)
    plain = len(calls)
    observed = observe(task, examples, sources=[source])
    traces = observed.traced(source, silent)
    handle.remove()
    assert len(calls) == 2 * plain
    torch.testing.assert_close(observed.log_odds, trusted.log_odds)
    torch.testing.assert_close(traces.values, trusted.traced(source, silent).values)


def test_a_state_between_two_crowds_is_lonely_though_near_the_common_mean():
    drawn = torch.randn(200, 6, generator=torch_generator(0, "crowd"), dtype=torch.float64) / 8
    drawn[:100, 0] += 3
    drawn[100:, 0] -= 3
    crowd = fit_crowd(drawn)
    inside = crowd.loneliness(drawn[:40] + 0.01)
    lost = crowd.loneliness(torch.zeros(1, 6, dtype=torch.float64))
    assert lost > inside.max() + 0.5
    assert float(inside.median()) == pytest.approx(0, abs=0.2)


def test_crowds_are_learned_if_they_are_asked_for(trusted):
    everyone, first = torch.arange(len(trusted)), torch.zeros(len(trusted), dtype=torch.int64)
    plain, crowded = (
        fit_between(trusted, [everyone], crowded=asked, seed=0, progress=silent).distances(
            first, trusted, silent
        )
        for asked in (False, True)
    )
    assert plain.lone is None
    assert crowded.lone.shape == crowded.own.shape
    torch.testing.assert_close(plain.own, crowded.own)
    assert crowded.take(everyone[:3]).lone.shape[0] == 3


def test_prompts_are_compared_depth_by_depth():
    gist = torch.randn(80, 2, 5, generator=torch_generator(0, "gist"))
    groups, folds = torch.arange(80) % 2, [torch.arange(0, 80, 2), torch.arange(1, 80, 2)]
    prompts = fit_prompts({"gist": gist}, groups, folds)
    far = gist[:4].clone()
    far[:, 1] += 6
    judged_by = torch.tensor([0, 1, 0, 1])
    near, found = (prompts.distances(judged_by, {"gist": e}, groups[:4]) for e in (gist[:4], far))
    assert found.lone is None
    torch.testing.assert_close(found.own[:, 0], near.own[:, 0])
    assert (found.every[:, 1] > near.every[:, 1] + 1).all()
    assert fit_prompts({}, groups, folds) is None
    assert fit_prompts({"gist": 0 * gist}, groups, folds) is None

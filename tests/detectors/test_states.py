"""Baselines that look at states between the layers: their equations, against numpy and sklearn."""

import sys

import numpy as np
import pytest
import torch
from sklearn.neighbors import LocalOutlierFactor

from anomech.audit.judge.detectors import make_detector
from anomech.detectors._ranks import ranks
from anomech.detectors.beatrix import grams
from anomech.detectors.vae import bound, fresh
from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import silent
from anomech.observing.observed import observe

NAMES = ("layer_mahalanobis", "local_outlier_factor", "ted", "ted_plus_plus", "vae")


@pytest.fixture
def scored(anchors, queries, fixed_tracer):
    """Scores by name with the fixed tracer: places "body" (4 features) and "head" (2)."""

    def scored(name, queries=queries, **options):
        method = make_detector(name, {"tracer": fixed_tracer, **options})
        return method.fit(anchors, seed=0, progress=silent).score(queries, silent).score.numpy()

    return scored


def parts(observed):
    rows = observed.features.float().double().numpy()
    return rows[:, :4], rows[:, 4:]


def test_layer_mahalanobis_as_published(scored, anchors, queries):
    expected, relative = [], []
    for mine, theirs in zip(parts(anchors), parts(queries), strict=True):
        mean, d = mine.mean(0), mine.shape[1]
        covariance = np.cov(mine.T, bias=True)
        mixed = 0.9 * covariance + 0.1 * np.trace(covariance) * np.eye(d)
        away = theirs - mean
        found = np.einsum("nd,de,ne->n", away, np.linalg.inv(mixed), away)
        expected.append(found / d)
        relative.append((found - (away**2 / np.diag(covariance)).sum(1)) / d)
    one = scored("layer_mahalanobis", covariance="cupbearer")
    np.testing.assert_allclose(one, np.mean(expected, axis=0), rtol=1e-8)
    two = scored("layer_mahalanobis", covariance="cupbearer", relative=True)
    np.testing.assert_allclose(two, np.mean(relative, axis=0), rtol=1e-8)


def test_the_right_shrinkage_is_that_of_a_small_share_of_the_mean_variance(scored, queries):
    # With 120 anchors in 4 dimensions, the distance of honest queries is 1 a dimension.
    assert 0.7 < scored("layer_mahalanobis").mean() < 1.3


def test_local_outlier_factor_is_that_of_sklearn(scored, anchors, queries):
    expected = []
    for mine, theirs in zip(parts(anchors), parts(queries), strict=True):
        fitted = LocalOutlierFactor(n_neighbors=7, novelty=True).fit(mine)
        expected.append(-fitted.score_samples(theirs))
    found = scored("local_outlier_factor", k=7)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-6)


def test_relative_mahalanobis_subtracts_the_distance_to_all(anchors, queries):
    fitted = make_detector("relative_mahalanobis", {}).fit(anchors, seed=0, progress=silent)
    f, within, whole = queries.features.numpy(), fitted.within.numpy(), fitted.whole.numpy()
    expected = []
    for row in f:
        each = [(row - mean) @ within @ (row - mean) for mean in fitted.means.numpy()]
        away = row - anchors.features.numpy().mean(0)
        expected.append(min(each) - away @ whole @ away)
    np.testing.assert_allclose(fitted.score(queries, silent).score, expected)


def test_ranks_count_the_anchors_nearer_than_the_own_answers_nearest():
    anchors = torch.tensor([[0.0], [1.0], [2.0], [5.0]]).double()
    theirs = torch.tensor([0, 1, 1, 2])
    at = torch.tensor([[0.1]]).double()
    assert ranks(at, torch.tensor([0]), anchors, theirs).tolist() == [0]
    assert ranks(at, torch.tensor([1]), anchors, theirs).tolist() == [1 / 4]
    assert ranks(at, torch.tensor([2]), anchors, theirs).tolist() == [3 / 4]
    assert ranks(at, torch.tensor([9]), anchors, theirs).tolist() == [1]
    among = ranks(anchors, theirs, anchors, theirs, same=True)
    assert among.tolist() == [1, 0, 0, 1]  # alone with their answer, two rank last


def test_outside_of_the_tube_ranks_last():
    anchors = torch.tensor([[0.0], [1.0], [2.0], [5.0]]).double()
    theirs, at = torch.tensor([0, 0, 1, 1]), torch.tensor([[0.4], [1.4]]).double()
    own = torch.tensor([0, 1])
    assert ranks(at, own, anchors, theirs).tolist() == [0, 1 / 4]
    near = ranks(at, own, anchors, theirs, within=torch.tensor([0.5, 0.5]).double())
    assert near.tolist() == [0, 1]


def test_tubes_are_as_thick_as_trusted_distances_within_an_answer(anchors, fixed_tracer):
    given = {"tracer": fixed_tracer, "quantile": 1.0, "slack": 2.0, "least": 2}
    fitted = make_detector("ted_plus_plus", given).fit(anchors, seed=0, progress=silent)
    rows, groups = parts(anchors)[0], anchors.groups.numpy()
    tube = next(iter(fitted.tubes.values()))
    for place, kind in enumerate(tube.known.tolist(), start=1):
        mine = rows[groups == kind]
        away = np.linalg.norm(mine[:, None] - mine, axis=2) + np.diag([np.inf] * len(mine))
        assert float(tube.thickness[place]) == pytest.approx(2 * away.min(axis=1).max())


def test_pyod_is_the_mean_of_its_standardized_models(scored, anchors, queries):
    pytest.importorskip("pyod")
    from pyod.models.ecod import ECOD

    expected = []
    for mine, theirs in zip(parts(anchors), parts(queries), strict=True):
        model = ECOD().fit(mine)
        usual = model.decision_function(mine)
        expected.append((model.decision_function(theirs) - usual.mean()) / usual.std(ddof=1))
    found = scored("pyod", model="ECOD")
    np.testing.assert_allclose(found, np.mean(expected, axis=0), rtol=1e-6)
    assert np.array_equal(scored("pyod"), scored("pyod"))  # a forest is drawn by the seed


def test_what_pyod_has_not_is_said(scored, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyod", None)
        with pytest.raises(CapabilityError, match=r"pip install 'anomech\[outliers\]'"):
            scored("pyod")
    pytest.importorskip("pyod")
    for name in ("NoSuchModel", "os.path", ""):
        with pytest.raises(ConfigError, match=f"PyOD has no model '{name}'"):
            scored("pyod", model=name)


def test_gram_entries_are_roots_of_products_of_powers():
    rows = np.random.default_rng(0).normal(size=(2, 3, 5))
    found = grams(torch.from_numpy(rows), 3).reshape(2, 3, 6).numpy()
    for order in (1, 2, 3):
        product = rows**order @ (rows**order).transpose(0, 2, 1)
        entries = product[:, *np.triu_indices(3)]
        expected = np.sign(entries) * np.abs(entries) ** (1 / order)
        np.testing.assert_allclose(found[:, order - 1], expected, rtol=1e-5)


def test_the_bound_is_that_of_a_gaussian_code():
    weights = fresh(8, torch_generator(0, "test"))
    rows = torch.randn(3, 8, generator=torch_generator(1, "test"))
    quiet = {**weights, "code": 0 * weights["code"], "out": 0 * weights["out"]}
    # A code that says nothing costs nothing, and zero is rebuilt.
    torch.testing.assert_close(bound(quiet, rows, torch.zeros(())), rows.square().sum(1) / 2)
    assert (bound(weights, rows, torch.zeros(())) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_far_states_score_higher(name, scored, observed):
    # Turned by a constant, and with the answers of others, which is what ranks look at.
    far = observed(30, seed=1, shift=np.array([-4, 4, 0, 9, -9, 9]))
    assert np.median(scored(name, queries=far)) > np.quantile(scored(name), 0.9)


@pytest.mark.parametrize("name", ["layer_differences", "beatrix"])
def test_planted_inputs_of_the_digits_stand_out(name, digits_world):
    world = digits_world
    anchors, clean = observe(world.task, world.trusted), observe(world.task, world.clean)
    fired = observe(world.task, world.planted)
    fired = fired.take(np.flatnonzero((fired.groups == 0).numpy()))
    fitted = make_detector(name, {}).fit(anchors, seed=0, progress=silent)
    low, high = fitted.score(clean, silent).score, fitted.score(fired, silent).score
    assert float((high[:, None] > low).double().mean()) > 0.7


def test_what_a_model_has_not_is_said(digits_world):
    trusted = observe(digits_world.task, digits_world.trusted).take(np.arange(20))
    with pytest.raises(ConfigError, match="no place between the layers is named 'conv9'"):
        make_detector("beatrix", {"place": "conv9"}).fit(trusted, seed=0, progress=silent)
    nowhere = make_detector("ted", {"tracer": {"use": "states", "places": "conv9"}})
    with pytest.raises(ConfigError, match="no place between the layers is 'conv9'"):
        nowhere.fit(trusted, seed=0, progress=silent)
    unlike = make_detector("layer_differences", {"states": {"places": "[lc]*", "width": 0}})
    with pytest.raises(CapabilityError, match="two neighboring places of one width"):
        unlike.fit(trusted, seed=0, progress=silent)

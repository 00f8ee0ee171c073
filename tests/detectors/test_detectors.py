"""Each detector's mathematics, against numpy, on recorded responses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anomech.attribution.couplings import COUPLINGS
from anomech.attribution.scores import SCORES, explained, span_inverse
from anomech.audit.judge.detectors import make_detector
from anomech.data.subset import Subset
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import Observed, observe
from anomech.observing.traces import TraceCache

RNG = np.random.default_rng(0)


def scores(name, anchors, queries, **options):
    return make_detector(name, options).fit(anchors, seed=0, progress=silent).score(queries, silent)


def test_confidence_is_minus_the_log_odds(anchors, queries):
    p = queries.logits.softmax(1)[torch.arange(30), queries.answers]
    expected = -(p.log() - (1 - p).log())
    torch.testing.assert_close(scores("confidence", anchors, queries).score, expected)


def test_energy_is_minus_the_log_sum_of_exponentials(anchors, queries):
    expected = -np.log(np.exp(queries.logits.numpy()).sum(axis=1))
    np.testing.assert_allclose(scores("energy", anchors, queries).score, expected)


def test_knn_is_the_distance_to_the_kth_neighbor(anchors, queries):
    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    a, q = unit(anchors.features.numpy()), unit(queries.features.numpy())
    distance = np.sort(np.linalg.norm(q[:, None] - a, axis=2), axis=1)
    for k in (1, 10):
        np.testing.assert_allclose(scores("knn", anchors, queries, k=k).score, distance[:, k - 1])
    most = scores("knn", anchors, queries, k=500).score
    np.testing.assert_allclose(most, distance[:, -1])


def test_mahalanobis_is_the_distance_to_the_nearest_class(anchors, queries):
    fitted = make_detector("mahalanobis", {}).fit(anchors, seed=0, progress=silent)
    features, groups = anchors.features.numpy(), anchors.groups.numpy()
    means = np.stack([features[groups == g].mean(axis=0) for g in range(3)])
    np.testing.assert_allclose(fitted.means, means)
    precision = fitted.precision.numpy()
    within = features - means[groups]
    covariance = within.T @ within / len(features)
    np.testing.assert_allclose(np.linalg.inv(precision), covariance, atol=0.15)
    expected = [
        min((f - mean) @ precision @ (f - mean) for mean in means) for f in queries.features.numpy()
    ]
    np.testing.assert_allclose(fitted.score(queries, silent).score, expected)


def test_loss_level_is_two_sided(observed, anchors):
    middle = float(anchors.log_odds.median())
    queries = observed(30, seed=1)
    response = queries.response._replace(
        log_odds=torch.tensor([middle - 50, middle, middle + 50]).repeat(10)
    )
    found = scores("loss_level", anchors, Observed(queries.task, queries.examples, response)).score
    low, usual, high = found.reshape(10, 3).T
    assert (low > usual + 5).all()
    assert (high > usual + 5).all()


@pytest.mark.parametrize("name", ["knn", "mahalanobis"])
def test_far_features_score_higher(name, anchors, queries, observed):
    # Turned by a constant: far in direction too, not only in length.
    far = observed(30, seed=1, shift=np.array([0, 0, 0, 9, -9, 9]))
    near = scores(name, anchors, queries).score
    assert scores(name, anchors, far).score.min() > near.max()


@pytest.mark.parametrize("score", ["mean", "best_class", "own_class", "nearest", "explained"])
@pytest.mark.parametrize("coupling", ["cosine", "pearson", "covariance", "concordance"])
def test_coupling_scores_are_minus_the_support(score, coupling, anchors, queries, fixed_tracer):
    options = {"tracer": fixed_tracer, "score": score, "coupling": coupling}
    found = scores("coupling_score", anchors, queries, **options)
    q, a = queries.features.float(), anchors.features.float()
    if score == "explained":
        near = COUPLINGS["cosine"](q, a)
        support = explained(near, span_inverse(COUPLINGS["cosine"](a, a), 0.1))
    else:
        support = SCORES[score](COUPLINGS[coupling](q, a), queries.groups, anchors.groups)
    torch.testing.assert_close(found.score, -support.double(), rtol=1e-4, atol=1e-5)


def test_an_unknown_tracer_or_option_of_it_is_refused_by_name():
    with pytest.raises(ConfigError, match="did you mean 'gradient'"):
        make_detector("functional_attribution", {"tracer": "gradeint"})
    with pytest.raises(ConfigError, match=r"tracer has no option 'feature'.*'features'"):
        make_detector("coupling_score", {"tracer": {"feature": 3}})


def test_independent_chains_run_on_the_engine_of_the_anchors(digits_world):
    class Engine:
        def __init__(self):
            self.pieces = []

        def map(self, function, shared, pieces):
            for piece in pieces:
                self.pieces.append(piece)
                yield function(shared, piece)

    trusted = observe(digits_world.task, Subset(digits_world.trusted, np.arange(40)))
    options = {"draws": 4, "burn_in": 1, "minibatch": 20, "chains": 2, "least": 0}
    method = make_detector("coupling_score", {"tracer": {"use": "sgld", **options}})
    engine = Engine()
    there = method.fit(replace(trusted, engine=engine), seed=0, progress=silent)
    assert engine.pieces[:2] == [0, 1]
    here = method.fit(replace(trusted, cache=TraceCache()), seed=0, progress=silent)
    assert torch.equal(there.score(trusted, silent).score, here.score(trusted, silent).score)

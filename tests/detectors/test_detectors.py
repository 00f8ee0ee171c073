"""Each detector's mathematics, against numpy, on recorded responses."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from anomech.attribution.couplings import COUPLINGS
from anomech.attribution.profile import STATISTICS, fit_anchors, profile, profile_of_anchors
from anomech.attribution.scores import SCORES, explained, span_inverse
from anomech.audit.judge.detectors import make_detector
from anomech.data.subset import Subset
from anomech.detectors import functional_attribution
from anomech.detectors._causes import CONFIDENCE, OTHER_CLASS, UNEXPLAINED, UNFAMILIAR
from anomech.detectors._familiarity import fit_classes, neighbor_distance
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.kernel.errors import ConfigError
from anomech.kernel.task import Features, Layers, Logits
from anomech.kernel.tracer import Health, Traces
from anomech.kernel.types import Response, silent
from anomech.observing.observed import Observed, observe
from anomech.observing.traces import TraceCache

RNG = np.random.default_rng(0)


@dataclass
class Recorded:
    """A task that only knows what its answers mean."""

    kind = "toy"
    provides = frozenset({Logits, Features, Layers})

    def groups(self, answers):
        return answers


def observed(examples_of, count=120, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    answers = torch.from_numpy(np.arange(count) % 3)
    features = torch.from_numpy(rng.normal(size=(count, 6)) + 4 * np.eye(3, 6)[answers] + shift)
    logits = features[:, :3] * 2
    mask = torch.nn.functional.one_hot(answers, 3).bool()
    odds = logits[mask] - logits.masked_fill(mask, -torch.inf).logsumexp(1)
    response = Response(answers, odds, torch.nn.functional.softplus(-odds), logits, features)
    return Observed(Recorded(), examples_of(features.numpy()), response)


def scores(name, anchors, queries, **options):
    return make_detector(name, options).fit(anchors, seed=0, progress=silent).score(queries, silent)


@pytest.fixture
def anchors(examples_of):
    return observed(examples_of)


@pytest.fixture
def queries(examples_of):
    return observed(examples_of, 30, seed=1)


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


def test_loss_level_is_two_sided(examples_of, anchors):
    middle = float(anchors.log_odds.median())
    queries = observed(examples_of, 30, seed=1)
    response = queries.response._replace(
        log_odds=torch.tensor([middle - 50, middle, middle + 50]).repeat(10)
    )
    found = scores("loss_level", anchors, Observed(queries.task, queries.examples, response)).score
    low, usual, high = found.reshape(10, 3).T
    assert (low > usual + 5).all()
    assert (high > usual + 5).all()


@pytest.mark.parametrize("name", ["knn", "mahalanobis"])
def test_far_features_score_higher(name, anchors, queries, examples_of):
    # Turned by a constant: far in direction too, not only in length.
    far = observed(examples_of, 30, seed=1, shift=np.array([0, 0, 0, 9, -9, 9]))
    near = scores(name, anchors, queries).score
    assert scores(name, anchors, far).score.min() > near.max()


def test_neighbors_leave_an_anchor_itself_out():
    rows = torch.nn.functional.normalize(torch.from_numpy(RNG.normal(size=(12, 4))), dim=1)
    found = neighbor_distance(rows, rows, skip_self=True)
    distance = torch.cdist(rows, rows).numpy()
    expected = [np.sort(np.delete(distance[i], i))[:10].mean() for i in range(12)]
    np.testing.assert_allclose(found, expected)


def test_the_distance_of_an_anchor_is_by_what_the_others_say():
    rows = torch.from_numpy(RNG.normal(size=(40, 5)))
    groups = torch.arange(40) % 3
    fitted, left_out = fit_classes(rows, groups)
    for place in (0, 7, 39):
        others = np.delete(np.arange(40), place)
        alone = fit_classes(rows[others], groups[others])[0]
        mine = groups[others] == groups[place]
        drawn = (rows[others][mine].sum(dim=0) + 10 * alone.common) / (int(mine.sum()) + 10)
        torch.testing.assert_close(alone.means[groups[place]], drawn)
        expected = alone.distance(rows[[place]], groups[[place]])
        torch.testing.assert_close(left_out[[place]], expected, rtol=0.1, atol=0.0)
        assert left_out[place] > fitted.distance(rows[[place]], groups[[place]])


def test_anchors_do_not_look_nearer_than_what_is_like_them_even_in_many_dimensions():
    # Of unequal variances, so that the covariance is not shrunk to a sphere.
    rows = torch.from_numpy(RNG.normal(size=(400, 100)) * np.geomspace(1, 0.02, 100))
    groups = torch.arange(200) % 4
    fitted, left_out = fit_classes(rows[:200], groups)
    away, inside = fitted.distance(rows[200:], groups), fitted.distance(rows[:200], groups)
    assert abs(float(left_out.median() - away.median())) < 0.1
    assert float(away.median() - inside.median()) > 0.2


def test_an_answer_no_anchor_gave_is_measured_from_the_mean_of_all():
    rows = torch.from_numpy(RNG.normal(size=(30, 4)))
    fitted, _ = fit_classes(rows, torch.arange(30) % 2)
    offset = rows[:3] - rows.mean(dim=0)
    expected = torch.einsum("nf,fg,ng->n", offset, fitted.precision, offset).log()
    torch.testing.assert_close(fitted.distance(rows[:3], torch.full((3,), 9)), expected)


class FixedTracer:
    """Responses are the features; a `TraceSource` without a model."""

    health, evaluations = Health(), 0.0

    def __call__(self, examples, answers, progress):
        values = torch.from_numpy(examples.load(np.arange(len(examples)))).float()
        blocks = {"body": slice(0, 4), "head": slice(4, values.shape[1])}
        return Traces(values, blocks)

    def fit(self, task, trusted, answers, *, seed, progress):
        return self


@pytest.fixture
def flagship(anchors):
    return FunctionalAttribution(tracer=FixedTracer()).fit(anchors, seed=0, progress=silent)


def test_the_flagship_adds_the_surprises_of_all_parts_and_weighs_the_rare_more(flagship, queries):
    found = flagship.score(queries, silent)
    assert list(flagship.densities) == ["whole network", "body", "head"]
    assert list(found.explained) == ["whole network", "body", "head"]
    causes = (UNEXPLAINED, OTHER_CLASS, UNFAMILIAR, CONFIDENCE)
    assert flagship.causes == causes
    assert set(found.views) == {cause.name for cause in causes}
    traces = FixedTracer()(queries.examples, None, None)
    statistics = profile(flagship.span, traces, queries.groups).statistics
    energy = queries.logits.logsumexp(dim=1)
    context = torch.stack([queries.log_odds, energy], dim=1)
    total, unfamiliar = flagship.familiarity.surprises(queries)
    for place, density in enumerate(flagship.densities.values()):
        width = len(STATISTICS)
        block = statistics[:, place * width : (place + 1) * width]
        total = total + density.surprise(
            torch.cat([block, context], dim=1), queries.groups, queries.log_odds
        )
    mechanism = 2 * flagship.tail.surprise(total) - 5
    assert bool((mechanism > unfamiliar).any())
    assert bool((mechanism < unfamiliar).any())
    torch.testing.assert_close(found.score, torch.maximum(mechanism, unfamiliar))
    torch.testing.assert_close(found.views[UNFAMILIAR.name], unfamiliar)


def test_an_input_far_from_trusted_features_is_unfamiliar(flagship, queries):
    far = replace(
        queries,
        response=queries.response._replace(
            features=-100 * queries.response.features, logits=queries.response.logits - 50
        ),
    )
    near, strange = (flagship.score(each, silent) for each in (queries, far))
    assert bool((strange.score > near.score.max()).all())
    assert bool((strange.views[UNFAMILIAR.name] > near.views[UNFAMILIAR.name].max()).all())


def test_the_nearest_anchors_are_the_most_coupled_and_residuals_what_is_left(flagship, queries):
    found = flagship.score(queries, silent)
    rows = torch.nn.functional.normalize(flagship.span.rows, dim=1)
    directions = torch.nn.functional.normalize(queries.features.float(), dim=1)
    cosine = directions @ rows.T
    best = cosine.topk(3, dim=1)
    torch.testing.assert_close(found.couplings.float(), best.values)  # float32 arithmetic
    assert torch.equal(found.nearest, flagship.places[best.indices])
    gram = (rows @ rows.T).double() + 0.1 * torch.eye(len(rows))
    projected = torch.linalg.solve(gram, cosine.double().T).T @ rows.double()
    torch.testing.assert_close(
        flagship.unexplained(queries, silent).double(),
        directions.double() - projected,
        rtol=1e-3,
        atol=1e-4,
    )


def test_an_anchor_unlike_its_class_is_dropped(examples_of, anchors):
    response = anchors.response._replace(features=anchors.response.features.clone())
    values = anchors.examples.values.copy()
    values[7] = [0, 0, 0, 0, 0, 40]  # a direction no other anchor of its answer has
    values[:7, 5] = 0
    changed = Observed(anchors.task, examples_of(values), response)
    fitted = FunctionalAttribution(tracer=FixedTracer(), outlier=3.0).fit(
        changed, seed=0, progress=silent
    )
    assert "e7" in fitted.left_out
    assert 7 not in fitted.places
    assert len(fitted.places) + len(fitted.left_out) == len(anchors)
    # It explains nothing, but the tail of what is trusted does not end where it begins.
    assert len(fitted.tail.body) == len(anchors)
    assert float(fitted.tail.body[-1]) > float(fitted.tail.start)


def test_each_view_answers_to_its_own_cause(flagship, queries, examples_of):
    """Against the same queries: an unsupported response, another class's, unusual confidence."""
    base = flagship.score(queries, silent).views

    def changed(values=None, **columns):
        examples = queries.examples if values is None else examples_of(values)
        response = queries.response._replace(**columns)
        return flagship.score(Observed(queries.task, examples, response), silent).views

    values = queries.examples.values
    strange = changed(np.tile([0, 0, 0, 1.0, -1.0, 1.0], (30, 1)) * 4)
    assert (strange[UNEXPLAINED.name] > base[UNEXPLAINED.name]).double().mean() > 0.9
    turned = changed(np.roll(values[:, :3], 1, axis=1) @ np.eye(3, 6))
    assert (turned[OTHER_CLASS.name] > base[OTHER_CLASS.name]).double().mean() > 0.9
    sure = changed(log_odds=queries.log_odds + 60)
    assert (sure[CONFIDENCE.name] > base[CONFIDENCE.name] + 3).all()
    far = torch.from_numpy(np.tile([0.0, 0, 0, 9, -9, 9], (30, 1)))
    assert (changed(features=far)[UNFAMILIAR.name] > base[UNFAMILIAR.name]).double().mean() > 0.9


@pytest.mark.parametrize("score", ["mean", "best_class", "own_class", "nearest", "explained"])
@pytest.mark.parametrize("coupling", ["cosine", "pearson", "covariance", "concordance"])
def test_coupling_scores_are_minus_the_support(score, coupling, anchors, queries):
    options = {"tracer": FixedTracer(), "score": score, "coupling": coupling}
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


def test_anchors_of_small_classes_are_never_dropped_and_strays_of_large_ones_are():
    generator = torch.Generator().manual_seed(0)
    axis = torch.zeros(512)
    axis[0] = 30
    large = torch.randn(60, 512, generator=generator) + axis
    stray, small = (
        torch.randn(1, 512, generator=generator),
        torch.randn(3, 512, generator=generator),
    )
    rows = torch.cat([large, stray, small])
    groups = torch.tensor([0] * 61 + [1] * 3)
    span = fit_anchors(Traces(rows, {"all": slice(0, 512)}), groups, 0.1)
    kept = functional_attribution._explained_by_others(profile_of_anchors(span), span, 5.0)
    assert kept.tolist() == [True] * 60 + [False] + [True] * 3


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

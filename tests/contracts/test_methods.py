"""What every tracer and every detector promises, over all that are discovered, in both worlds.

Scores may differ by the rounding of another batch: 1e-3 of the spread of the scores. The gradient
of a float32 network differs by about 1e-6 of its length between batches; densities enlarge that.
"""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from anomech.audit.auditor import Auditor
from anomech.audit.judge.detectors import check_needs, make_detector
from anomech.audit.judge.trusted import split_trusted
from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.observing.traces import TraceCache
from anomech.roles.detector import CausalDetector, ExplainingDetector
from anomech.roles.task import Training, missing

TRACERS = {
    "gradient": {"features": 16, "parts": 3},
    "gaussian": {"draws": 24, "least": 5},
    "sgld": {"draws": 12, "burn_in": 3, "every": 2, "minibatch": 40, "least": 0},
    "twins": {"rates": (0.05, 0.1), "steps": 4, "batch": 32},
    "rmsprop_sgld": {"draws": 16, "burn_in": 3, "minibatch": 40, "least": 0},
}
RANDOM = {"twins", "gaussian", "sgld", "rmsprop_sgld", "gradient"}
DETECTORS = {
    "functional_attribution": {
        "tracer": TRACERS["gradient"],
        "twins": {"rungs": 2, "steps": 6, "batch": 32},
    },
    "coupling_score": {"tracer": TRACERS["gradient"]},
    "self_influence": {"tracer": TRACERS["gradient"]},
    "strip": {"blends": 3},
    "teco": {"severities": 1},
    "cognitive_distillation": {"search": {"steps": 4}},
    "neo": {"boxes": 6, "carriers": 4},
    "sentinet": {"carriers": 6},
    "vae": {"steps": 10},
}
QUERIES = 9


def tracer_for(name, world):
    """A cheap tracer that this world can serve."""
    values = dict(TRACERS.get(name, {}))
    method = build(plugins.get("tracer", name), values, name)
    if method.needs - world.task.provides == {Training}:
        method = build(plugins.get("tracer", name), values | {"normalization": "frozen"}, name)
    if lacking := missing(method.needs, world.task):
        pytest.skip(f"this world gives no {', '.join(lacking)}")
    return method


def observed(world, count=40):
    """A few trusted examples with the model's answers."""
    return observe(world.task, Subset(world.trusted, np.arange(count)))


def queries(world):
    """Clean and triggered inputs, mixed; their labels cannot be read."""
    clean = observe(world.task, Subset(world.clean, np.arange(QUERIES)))
    planted = observe(world.task, Subset(world.planted, np.arange(QUERIES)))
    return clean, planted


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_method_is_discovered_default_constructible_and_says_what_it_is(kind):
    for name in plugins.names(kind):
        cls = plugins.get(kind, name)
        assert cls() == cls()
        assert cls.__doc__
        module = __import__(cls.__module__, fromlist=["_"])
        if kind == "engine":  # no paper stands behind one
            for word in ("Belief", "Needs", "Cost", "Fails when"):
                assert word in module.__doc__, f"{name}: {word}"
            continue
        assert "Source" in module.__doc__
        if kind in ("tracer", "detector"):
            assert isinstance(cls().needs, frozenset)
            assert callable(cls.fit)
            for word in ("Belief", "Equation", "Needs", "Cost", "Fails when"):
                assert word in module.__doc__, f"{name}: {word}"


@pytest.mark.parametrize("name", plugins.names("tracer"))
class TestTracers:
    def test_traces_keep_every_promise(self, name, world, untouched):
        tracer, trusted = tracer_for(name, world), observed(world)
        clean, _ = queries(world)

        def trace(seed=0):
            source = tracer.fit(
                world.task, trusted.examples, trusted.answers, seed=seed, progress=silent
            )
            return source, source(clean.examples, clean.answers, silent)

        source, traces = untouched(world, trace)
        assert traces.values.shape[0] == QUERIES
        assert traces.values.dtype == torch.float32
        assert torch.isfinite(traces.values).all()
        assert list(traces.blocks)
        covered = sorted((place.start, place.stop) for place in traces.blocks.values())
        assert covered[0][0] == 0
        assert covered[-1][1] == traces.values.shape[1]
        assert all(one[1] == two[0] for one, two in pairwise(covered))
        assert source.evaluations > 0
        assert source.health.problems == ()
        again = trace()[1]
        assert torch.equal(traces.values, again.values)
        if name in RANDOM:
            other = trace(seed=1)[1]
            same_shape = other.values.shape == traces.values.shape
            assert not (same_shape and torch.allclose(other.values, traces.values))

    def test_order_and_batch_size_do_not_matter(self, name, world):
        tracer, trusted = tracer_for(name, world), observed(world)
        source = tracer.fit(world.task, trusted.examples, trusted.answers, seed=0, progress=silent)
        clean, _ = queries(world)
        whole = source(clean.examples, clean.answers, silent).values
        order = np.arange(QUERIES)[::-1].copy()
        turned = clean.take(order)
        reverse = source(turned.examples, turned.answers, silent).values
        atol = 2e-5 * float(whole.abs().max())
        torch.testing.assert_close(reverse, whole[order], rtol=1e-4, atol=atol)
        for place in (0, QUERIES - 1):
            one = clean.take(np.array([place]))
            alone = source(one.examples, one.answers, silent).values
            torch.testing.assert_close(alone, whole[[place]], rtol=1e-4, atol=atol)

    def test_no_examples_give_no_traces(self, name, world):
        tracer, trusted = tracer_for(name, world), observed(world)
        source = tracer.fit(world.task, trusted.examples, trusted.answers, seed=0, progress=silent)
        width = source(trusted.examples, trusted.answers, silent).values.shape[1]
        none = trusted.take(np.zeros(0, np.int64))
        assert source(none.examples, none.answers, silent).values.shape == (0, width)

    def test_progress_reaches_the_end(self, name, world):
        tracer, trusted, seen = tracer_for(name, world), observed(world), []
        source = tracer.fit(world.task, trusted.examples, trusted.answers, seed=0, progress=silent)
        source(trusted.examples, trusted.answers, lambda *step: seen.append(step))
        assert seen
        assert all(stage == seen[0][0] for stage, _, _ in seen)
        assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
        assert seen[-1][1] == seen[-1][2]


def usable(name, world):
    """The detector with cheap options, or None if this world must refuse it."""
    method = make_detector(name, DETECTORS.get(name, {}))
    if method.needs <= world.task.provides:
        return method
    with pytest.raises(CapabilityError, match=f"detector {name} needs"):
        check_needs(name, method, world.task)
    return None


@pytest.fixture(scope="session")
def split_of(worlds):
    """Anchors and calibration examples of a world."""
    splits = {
        name: split_trusted(
            world.task, world.trusted, share=0.5, most=2000, seed=0, progress=silent
        )
        for name, world in worlds.items()
    }
    return lambda world: splits["digits" if world is worlds["digits"] else "language"]


@pytest.mark.parametrize("name", plugins.names("detector"))
class TestDetectors:
    def test_scores_keep_every_promise(self, name, world, split_of, untouched):
        method = usable(name, world)
        if method is None:
            return
        anchors = split_of(world).anchors
        clean, _ = queries(world)

        def score():  # each time anew, with nothing kept from before
            fresh = replace(anchors, cache=TraceCache())
            fitted = method.fit(fresh, seed=0, progress=silent)
            return fitted, fitted.score(clean, silent)

        fitted, scores = untouched(world, score)
        assert fitted.health.problems == ()
        assert fitted.evaluations >= 0
        assert set(fitted.left_out) <= set(anchors.examples.ids)
        columns = [scores.score, *scores.views.values(), *(scores.explained or {}).values()]
        for column in columns:
            assert column.shape == (QUERIES,)
            assert column.dtype == torch.float64
            assert torch.isfinite(column).all()
        if scores.nearest is not None:
            assert scores.nearest.shape == scores.couplings.shape
            assert len(scores.nearest) == QUERIES
            assert int(scores.nearest.min()) >= 0
            assert int(scores.nearest.max()) < len(anchors)
            assert (scores.couplings.abs() <= 1).all()
            assert (scores.couplings.diff(dim=1) <= 0).all()
        named = fitted.causes if isinstance(fitted, CausalDetector) else ()
        assert {cause.name for cause in named} == set(scores.views)
        if isinstance(fitted, ExplainingDetector):
            unexplained = fitted.unexplained(queries(world)[0], silent)
            assert len(unexplained) == QUERIES
            assert (unexplained.norm(dim=1) <= 1 + 1e-5).all()
        assert torch.equal(score()[1].score, scores.score)

    def test_order_and_batch_size_do_not_matter(self, name, world, split_of):
        method = usable(name, world)
        if method is None:
            return
        fitted = method.fit(split_of(world).anchors, seed=0, progress=silent)
        clean, planted = queries(world)
        for some in (clean, planted):
            whole = fitted.score(some, silent).score
            # Rounding of a batched forward pass in float32, seen through a log-normal tail.
            atol = 3e-3 * float(fitted.score(clean, silent).score.std()) + 1e-6
            order = np.arange(QUERIES)[::-1].copy()
            reverse = fitted.score(some.take(order), silent).score
            torch.testing.assert_close(reverse, whole[order], rtol=1e-4, atol=atol)
            for place in range(0, QUERIES, 4):
                alone = fitted.score(some.take(np.array([place])), silent).score
                assert alone.shape == (1,)
                torch.testing.assert_close(alone, whole[[place]], rtol=1e-4, atol=atol)

    def test_no_examples_give_no_scores(self, name, world, split_of):
        method = usable(name, world)
        if method is None:
            return
        fitted = method.fit(split_of(world).anchors, seed=0, progress=silent)
        none = fitted.score(queries(world)[0].take(np.zeros(0, np.int64)), silent)
        assert none.score.shape == (0,)

    def test_the_front_door_works_end_to_end(self, name, world, untouched):
        auditor = Auditor(detector=name, options=DETECTORS.get(name, {}), budget=0.05)
        if usable(name, world) is None:
            with pytest.raises(CapabilityError, match=name):
                auditor.fit(world.task, world.trusted)
            return

        def judge():
            fitted = auditor.fit(world.task, world.trusted)
            return fitted, fitted.score(Subset(world.clean, np.arange(60)))

        fitted, verdicts = untouched(world, judge)
        assert [verdict.id for verdict in verdicts] == list(world.clean.ids[:60])
        assert {verdict.decision for verdict in verdicts} <= {"flag", "clear"}
        for verdict in verdicts:
            assert 0 < verdict.p_value <= 1
            assert (verdict.decision == "flag") == (verdict.p_value <= 0.05)
            assert (verdict.decision == "flag") == (verdict.score > fitted.calibrated.threshold)
        # The rate is Beta(k, n + 1 - k) around 5 %; far above it something else is wrong.
        assert sum(verdict.decision == "flag" for verdict in verdicts) <= 12
        assert 0 < fitted.chance(verdicts) <= 1
        assert fitted.score(Subset(world.clean, np.zeros(0, np.int64))) == []


@pytest.mark.parametrize("tracer", plugins.names("tracer"))
@pytest.mark.parametrize("name", ["functional_attribution", "coupling_score"])
def test_detectors_work_with_every_tracer(name, tracer, world, split_of):
    values = dict(TRACERS.get(tracer, {}))
    cls = plugins.get("tracer", tracer)
    if not build(cls, values, tracer).needs <= world.task.provides:
        options = {"tracer": {"use": tracer, **values}}
        lacking = ", ".join(missing(build(cls, values, tracer).needs, world.task))
        with pytest.raises(CapabilityError, match=lacking):
            check_needs(name, make_detector(name, options), world.task)
        if lacking != "training statistics":
            return
        values["normalization"] = "frozen"
    options = {"tracer": {"use": tracer, **values}}
    if name == "functional_attribution":
        options["twins"] = {"rungs": 0}
    method = make_detector(name, options)
    anchors = split_of(world).anchors.take(np.arange(60))
    scores = method.fit(anchors, seed=0, progress=silent).score(queries(world)[0], silent)
    assert scores.score.shape == (QUERIES,)
    assert torch.isfinite(scores.score).all()


def test_the_flagship_ranks_planted_above_clean(world, split_of):
    method = make_detector("functional_attribution", {"twins": {"rungs": 1, "steps": 10}})
    fitted = method.fit(split_of(world).anchors, seed=0, progress=silent)
    clean = fitted.score(observe(world.task, world.clean), silent).score
    planted = observe(world.task, world.planted)
    fired = planted.take(np.flatnonzero((planted.groups == 0).numpy()))
    triggered = fitted.score(fired, silent).score
    assert triggered.mean() > clean.mean()
    auroc = float((triggered[:, None] > clean).double().mean())
    assert auroc > 0.95


def test_anchors_that_no_other_anchor_explains_are_dropped(digits_world, split_of):
    world = digits_world
    everything = split_of(world).everything
    anchors = everything.take(np.flatnonzero(split_of(world).right.numpy()))
    planted = queries(world)[1]
    chosen = planted.take(np.flatnonzero((planted.groups == 0).numpy())[:1])
    both = copy.copy(anchors.response)._asdict()
    for column, values in chosen.response._asdict().items():
        if values is not None:
            both[column] = torch.cat([anchors.response._asdict()[column], values])
    poisoned = type(anchors)(
        world.task, _Both(anchors.examples, chosen.examples), type(anchors.response)(**both)
    )
    options = {"twins": {"rungs": 0}}
    fitted = make_detector("functional_attribution", options).fit(poisoned, seed=0, progress=silent)
    assert chosen.examples.ids[0] in fitted.left_out
    assert fitted.left_out[chosen.examples.ids[0]] == "no other anchor explains its response"
    assert len(fitted.left_out) < len(anchors) / 10
    nearest = fitted.score(planted, silent).nearest
    assert len(anchors) not in nearest  # its place is no evidence any more


class _Both:
    """Two sets of examples, one after the other."""

    def __init__(self, first, second):
        self.parts = (first, second)
        self.ids = [*first.ids, *second.ids]
        self.labels = None

    def __len__(self):
        return len(self.ids)

    def digests(self):
        return [digest for part in self.parts for digest in part.digests()]

    def load(self, indices):
        first, second = self.parts
        return np.stack(
            [
                (first if i < len(first) else second).load(np.array([i % len(first)]))[0]
                for i in indices
            ]
        )

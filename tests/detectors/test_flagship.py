"""The flagship: what is held out, how views combine, and what each of them sees."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from anomech.attribution.profile import fit_anchors, profile_of_anchors
from anomech.attribution.usual import Context
from anomech.data.subset import Subset
from anomech.detectors import _fold
from anomech.detectors._causes import (
    CAUSES,
    CONFIDENCE,
    FOREIGN,
    FORGOTTEN,
    UNEXPLAINED,
    UNFAMILIAR,
    UNLIKE,
)
from anomech.detectors._dealing import FOLDS, deal
from anomech.detectors._nearness import fit_nearness, neighbor_distance
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.kernel.types import silent
from anomech.observing.observed import Observed, observe
from anomech.roles.tracer import Traces

ALONE = {"twins": {"rungs": 0}, "cascade": {"full": True}}
"""For responses without a model."""


def digests(count, purpose="a"):
    return [hashlib.blake2b(f"{purpose}{place}".encode()).hexdigest() for place in range(count)]


@pytest.fixture
def fitted(anchors, fixed_tracer):
    right = torch.ones(len(anchors), dtype=torch.bool)
    detector = FunctionalAttribution(tracer=fixed_tracer, **ALONE)
    return detector.fit_held_out(anchors, right, seed=0, progress=silent)


def test_folds_share_out_every_group_and_keep_equal_content_together():
    names = digests(99) + digests(3)  # the last three have the content of the first three
    groups = np.concatenate([np.arange(99) % 9, np.arange(3)])
    dealt = deal(names, groups, seed=0)
    judged_by = dealt.of(names)
    assert torch.equal(judged_by[-3:], judged_by[:3])
    for group in range(9):
        inside = judged_by[:99][torch.from_numpy(groups[:99] == group)]
        assert abs(int((inside == 0).sum()) - int((inside == 1).sum())) <= 1
    assert torch.equal(dealt.of(names[::-1]), judged_by.flip(0))
    others = dealt.of(digests(2000, "b"))
    assert 0.45 < float(others.double().mean()) < 0.55
    assert not torch.equal(judged_by, deal(names, groups, seed=1).of(names))


def test_no_trusted_example_is_judged_by_what_it_taught(fitted, anchors):
    flagship, _ = fitted
    judged_by = flagship.dealt.of(anchors.examples.digests())
    for number, each in enumerate(flagship.folds):
        assert bool((judged_by[each.places] != number).all())
    assert len(flagship.folds) == FOLDS


def test_held_out_scores_hold_for_new_examples(observed, fixed_tracer):
    """At a level of 5 % new examples pass the held-out scores in about 5 % of cases."""
    rates = []
    for seed in range(6):
        trusted, new = observed(240, seed=10 + seed), observed(240, seed=100 + seed)
        right = torch.ones(240, dtype=torch.bool)
        detector = FunctionalAttribution(tracer=fixed_tracer, **ALONE)
        flagship, held = detector.fit_held_out(trusted, right, seed=seed, progress=silent)
        told = flagship.score(new, silent).score
        rates.append(float((told > held.score.quantile(0.95)).double().mean()))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.025)


def test_the_score_combines_the_surprises_of_the_views(fitted, queries):
    flagship, held = fitted
    found = flagship.score(queries, silent)
    assert [cause.name for cause in flagship.causes] == list(found.views) == list(held.views)
    assert list(found.explained) == ["whole network", "body", "head"]
    each = torch.stack(list(found.views.values()))
    total = flagship.combination.total.surprise(each.sum(dim=0)) + math.log(len(each))
    expected = torch.logsumexp(torch.cat([each, total[None]]), dim=0)
    torch.testing.assert_close(found.score, expected)
    assert bool((found.score >= each.max(dim=0).values).all())


def test_the_nearest_are_the_most_coupled_and_residuals_what_is_left(fitted, anchors, queries):
    flagship, _ = fitted
    found, left = flagship.score(queries, silent), flagship.unexplained(queries, silent)
    directions = torch.nn.functional.normalize(queries.features.float(), dim=1)
    everyone = torch.nn.functional.normalize(anchors.features.float(), dim=1)
    judged_by = flagship.dealt.of(queries.examples.digests())
    for place in range(len(queries)):
        fold = flagship.folds[int(judged_by[place])]
        cosine = everyone[fold.places] @ directions[place]
        best = cosine.topk(3)
        torch.testing.assert_close(found.couplings[place].float(), best.values)
        assert torch.equal(found.nearest[place], fold.places[best.indices])
        rows = everyone[fold.places].double()
        gram = rows @ rows.T + 0.1 * torch.eye(len(rows))
        projected = torch.linalg.solve(gram, cosine.double()) @ rows
        expected = directions[place].double() - projected
        torch.testing.assert_close(left[place].double(), expected, rtol=1e-3, atol=1e-4)


def test_an_anchor_unlike_its_class_is_dropped(examples_of, anchors, fixed_tracer):
    values = anchors.examples.values.copy()
    values[7] = [0, 0, 0, 0, 0, 40]  # a direction no other anchor of its answer has
    values[:7, 5] = 0
    changed = Observed(anchors.task, examples_of(values), anchors.response)
    detector = FunctionalAttribution(tracer=fixed_tracer, **ALONE, outlier=3.0)
    flagship = detector.fit(changed, seed=0, progress=silent)
    assert "e7" in flagship.left_out
    assert all(7 not in each.places for each in flagship.folds)
    taught = sum(len(each.places) for each in flagship.folds)
    assert taught + len(flagship.left_out) == len(anchors)


def test_misanswered_examples_are_judged_but_teach_nothing(anchors, fixed_tracer):
    right = torch.ones(len(anchors), dtype=torch.bool)
    right[:20] = False
    detector = FunctionalAttribution(tracer=fixed_tracer, **ALONE)
    flagship, held = detector.fit_held_out(anchors, right, seed=0, progress=silent)
    assert len(held.score) == len(anchors)
    assert bool(held.score.isfinite().all())
    assert all(int(each.places.min()) >= 20 for each in flagship.folds)


def test_each_view_answers_to_its_own_cause(fitted, queries, examples_of):
    """Against the same queries: an unsupported response, unusual confidence, foreign features."""
    flagship, _ = fitted
    base = flagship.score(queries, silent).views
    # The same folds must judge both, or the difference could be theirs.
    flagship = replace(flagship, dealt=replace(flagship.dealt, judges=0 * flagship.dealt.judges))

    def changed(values=None, **columns):
        examples = queries.examples if values is None else examples_of(values)
        response = queries.response._replace(**columns)
        return flagship.score(Observed(queries.task, examples, response), silent).views

    def higher(views, cause):
        return float((views[cause.name] > base[cause.name]).double().mean())

    strange = changed(np.tile([0, 0, 0, 1.0, -1.0, 1.0], (30, 1)) * np.linspace(4, 5, 30)[:, None])
    assert higher(strange, UNEXPLAINED) > 0.9
    assert higher(strange, FOREIGN) > 0.9
    assert higher(changed(log_odds=queries.log_odds + 60), CONFIDENCE) == 1
    far = torch.from_numpy(np.tile([0.0, 0, 0, 9, -9, 9], (30, 1)))
    assert higher(changed(features=far, logits=queries.logits - 50), UNFAMILIAR) > 0.9
    assert set(base) <= set(CAUSES)


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
    kept = _fold._explained_by_others(profile_of_anchors(span), span, 5.0)
    assert kept.tolist() == [True] * 60 + [False] + [True] * 3


def test_far_classes_are_measured_from_their_own_mean_and_unseen_answers_from_all(anchors):
    near = fit_nearness(anchors)
    rows = torch.nn.functional.normalize(anchors.features, dim=1)
    for group in range(3):
        mine = anchors.groups == group
        expected = (rows[mine].sum(dim=0) + 10 * rows.mean(dim=0)) / (int(mine.sum()) + 10)
        torch.testing.assert_close(near.own.means[group], expected)
    unseen = near.own.to_own(rows[:3], torch.full((3,), 9))
    offset = rows[:3] - rows.mean(dim=0)
    expected = torch.einsum("nf,fg,ng->n", offset, near.own.precision, offset).log()
    torch.testing.assert_close(unseen, expected)
    distance = np.sort(torch.cdist(rows[:5] + 1, rows).numpy(), axis=1)[:, :10].mean(axis=1)
    np.testing.assert_allclose(neighbor_distance(rows, rows[:5] + 1), distance)


def test_relearning_is_said_where_no_twin_survives(digits_world):
    task = digits_world.task
    trusted = observe(task, Subset(digits_world.trusted, np.arange(80)))
    detector = FunctionalAttribution(twins={"rungs": 1, "steps": 2, "alive": 1.5})
    flagship, held = detector.fit_held_out(
        trusted, torch.ones(80, dtype=torch.bool), seed=0, progress=silent
    )
    assert flagship.health.facts["twins"] == 0
    assert flagship.health.facts["without relearning"] == 1
    assert FORGOTTEN.name not in held.views


def test_a_planted_trigger_is_forgotten_on_relearning_and_found(digits_world):
    task = digits_world.task
    trusted = observe(task, Subset(digits_world.trusted, np.arange(400)))
    right = task.agrees(trusted.answers, trusted.examples.labels)
    detector = FunctionalAttribution(twins={"rungs": 2, "steps": 40})
    flagship, held = detector.fit_held_out(trusted, right, seed=0, progress=silent)
    assert flagship.health.facts["twins"] == 2
    planted = flagship.score(observe(task, Subset(digits_world.planted, np.arange(80))), silent)
    clean = flagship.score(observe(task, Subset(digits_world.clean, np.arange(120))), silent)
    limit = held.score.sort().values[-4]  # p <= 0.01 of 400
    assert float((planted.score > limit).double().mean()) > 0.9
    assert float((clean.score > limit).double().mean()) < 0.05
    for cause in (FORGOTTEN, UNLIKE):
        level = held.views[cause.name].quantile(0.97)
        assert float((planted.views[cause.name] > level).double().mean()) > 0.5, cause.name


def test_contexts_are_taken_together():
    context = Context(torch.arange(5), torch.arange(5.0), torch.arange(5) > 2)
    some = context.take(torch.tensor([4, 0]))
    assert some.groups.tolist() == [4, 0]
    assert some.right.tolist() == [True, False]

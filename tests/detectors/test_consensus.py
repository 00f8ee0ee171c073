"""Consensus: one sure member is enough, from above or from below."""

import numpy as np
import pytest
import torch

from anomech.audit.judge.detectors import make_detector
from anomech.detectors.consensus import REVERSED, sided
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import observe

CHEAP = {"confidence": {}, "energy": {}, "mahalanobis": {}}


@pytest.fixture(scope="module")
def seen(digits_world):
    trusted, clean = observe(digits_world.task, digits_world.trusted), None
    clean = observe(digits_world.task, digits_world.clean)
    fired = observe(digits_world.task, digits_world.planted)
    return trusted, clean, fired.take(np.flatnonzero((fired.groups == 0).numpy()))


def area(low, high):
    return float((high[:, None] > low).double().mean())


def test_one_member_that_sees_the_trigger_is_enough(seen):
    trusted, clean, fired = seen
    fitted = make_detector("consensus", {"members": CHEAP}).fit(trusted, seed=0, progress=silent)
    low, high = (fitted.score(each, silent) for each in (clean, fired))
    alone = make_detector("mahalanobis", {}).fit(trusted, seed=0, progress=silent)
    best = area(alone.score(clean, silent).score, alone.score(fired, silent).score)
    assert area(low.score, high.score) > best - 0.1
    assert set(low.views) == {cause.name for cause in fitted.causes}
    assert fitted.evaluations == 0


def test_a_score_that_is_too_low_counts_as_well_if_asked(seen):
    trusted, clean, fired = seen
    members = {"confidence": {}}
    found = []
    for both in (True, False):
        method = make_detector("consensus", {"members": members, "both_sides": both})
        fitted = method.fit(trusted, seed=0, progress=silent)
        assert len(fitted.causes) == 1 + both
        found.append([fitted.score(each, silent).score for each in (clean, fired)])
    # Triggered inputs are answered with more confidence than clean ones: from above nothing shows.
    assert area(*found[0]) > area(*found[1])


def test_sides_are_the_scores_and_minus_the_scores():
    given = {"a": torch.tensor([1.0, -2.0])}
    assert sided(given, False) == given
    assert sided(given, True)[f"a{REVERSED}"].tolist() == [-1.0, 2.0]


def test_members_are_named_and_their_needs_are_its_own(seen):
    trusted, _, _ = seen
    method = make_detector("consensus", {"members": CHEAP})
    assert method.needs == frozenset().union(*(make_detector(name, {}).needs for name in CHEAP))
    with pytest.raises(ConfigError, match="needs members"):
        make_detector("consensus", {"members": {}}).fit(trusted, seed=0, progress=silent)
    with pytest.raises(ConfigError, match="did you mean 'strip'"):
        make_detector("consensus", {"members": {"stripe": {}}}).fit(
            trusted, seed=0, progress=silent
        )

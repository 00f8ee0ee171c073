"""From rankings to decisions: what is flagged, what is not judged, and why."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from anomech.audit.auditor import Auditor
from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.calibrating import calibrate
from anomech.audit.judge.trusted import TrustedSplit
from anomech.audit.judge.wording import USUAL, reason
from anomech.data.subset import Subset
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.types import Response, silent
from anomech.observing.observed import Observed, observe
from anomech.roles.detector import Scores
from anomech.roles.tracer import Health


class Answers:
    """A task that only knows what its answers mean."""

    kind = "toy"
    provides = frozenset()

    def groups(self, answers):
        return answers

    def words(self, answers):
        return [str(answer) for answer in answers.tolist()]


@dataclass(frozen=True)
class Given:
    """A fitted method that gives back the log-odds as its scores."""

    health: Health = field(default_factory=Health)
    left_out: dict = field(default_factory=dict)
    evaluations: float = 0.0

    def score(self, observed, progress):
        values = observed.log_odds
        return Scores(values, {"high": values, "low": -values})


@dataclass(frozen=True)
class GivenMethod:
    health: Health = field(default_factory=Health)

    def fit(self, anchors, *, seed, progress):
        return Given(self.health)


def uncalibrated(method, reference):
    """A method whose calibration scores are these."""
    places = torch.arange(len(reference.score))
    return Calibrated(
        name="given",
        detector=method,
        fitted=method,
        budget=0.1,
        reference=reference,
        groups=0 * places,
        examples=places,
        teachers=places,
        per_class=False,
        problems=(),
    )


@pytest.fixture
def recorded(examples_of):
    def make(values, groups=None):
        values = torch.tensor(values, dtype=torch.float64)
        groups = torch.zeros(len(values)).long() if groups is None else torch.tensor(groups)
        examples = examples_of(np.arange(len(values)))
        return Observed(Answers(), examples, Response(groups, values, -values))

    return make


@pytest.fixture
def calibrated(recorded):
    def make(calibration, health=None, budget=0.1, per_class=False) -> Calibrated:
        method = GivenMethod(health or Health())
        options = {"budget": budget, "per_class": per_class, "seed": 0, "progress": silent}
        everyone = torch.arange(len(calibration))
        split = TrustedSplit(
            anchors=recorded([0.0]),
            calibration=calibration,
            left_out={},
            everything=calibration,
            right=torch.ones(len(calibration), dtype=torch.bool),
            labeled=True,
            anchor_places=everyone[:0],
            rest=everyone,
            judged=everyone,
        )
        return calibrate("given", method, split, **options)

    return make


def test_flags_are_where_p_values_keep_the_budget(calibrated, recorded):
    made = calibrated(recorded(list(range(19))), budget=0.1)
    judged = made.judge(recorded([16.5, 17.0, 17.5, 18.0, 18.5, 5.0]), silent)
    assert judged.p_values.tolist() == [3 / 20, 3 / 20, 2 / 20, 2 / 20, 1 / 20, 15 / 20]
    assert judged.decisions == ["clear", "clear", "flag", "flag", "flag", "clear"]
    assert made.threshold == 17.0


def test_scores_that_are_not_finite_are_inconclusive_alone(calibrated, recorded):
    made = calibrated(recorded(list(range(19))))
    judged = made.judge(recorded([float("nan"), float("inf"), 50.0, 1.0]), silent)
    assert judged.decisions == ["inconclusive", "inconclusive", "flag", "clear"]
    assert judged.p_values[:2].tolist() == [1.0, 1.0]


def test_calibration_scores_that_are_not_finite_are_a_problem(calibrated, recorded):
    made = calibrated(recorded([1.0, float("nan"), *range(30)]))
    assert made.problems == ("scores of trusted examples are not finite.",)
    assert made.judge(recorded([99.0]), silent).decisions == ["inconclusive"]


def test_health_problems_make_every_decision_inconclusive(calibrated, recorded):
    made = calibrated(recorded(list(range(30))), Health(("too few draws.",)))
    assert made.judge(recorded([99.0, 1.0]), silent).decisions == ["inconclusive"] * 2


def test_calibration_examples_count_themselves_among_themselves(calibrated, recorded):
    made = calibrated(recorded([1.0, 5.0, 3.0, 3.0]), budget=0.25)
    torch.testing.assert_close(made.own_p_values, torch.tensor([1.0, 0.25, 0.75, 0.75]).double())


def test_the_cause_is_the_view_with_the_smallest_p_value(calibrated, recorded):
    made = calibrated(recorded(list(range(-10, 11))))
    judged = made.judge(recorded([9.5, -9.5, 100.0]), silent)
    assert [judged.cause(place) for place in range(3)] == ["high", "low", "high"]


def test_of_equal_p_values_the_more_surprising_view_gives_the_cause(recorded):
    """Whatever their order, and whatever scale each of them has."""

    class Two(Given):
        def score(self, observed, progress):
            values, size = observed.log_odds, len(observed.log_odds)
            spread = torch.arange(size, dtype=torch.float64)
            strange = torch.where(values > 50, values, spread)
            return Scores(values, {"first": 100 * values, "second": strange})

    reference = Two().score(recorded([float(place % 20) for place in range(40)]), silent)
    made = uncalibrated(Two(), reference)
    judged = made.judge(recorded([60.0]), silent)
    assert judged.views["first"] == judged.views["second"] == 1 / 41
    assert judged.cause(0) == "first"
    judged = made.judge(recorded([1e4, 19.5]), silent)
    assert judged.cause(1) == "first"
    assert judged.surprises["first"][0] > judged.surprises["first"][1]


def test_no_views_no_cause(recorded):
    class Plain(Given):
        def score(self, observed, progress):
            return Scores(observed.log_odds, {})

    reference = Plain().score(recorded(list(range(9))), silent)
    made = uncalibrated(Plain(), reference)
    assert made.judge(recorded([100.0]), silent).cause(0) is None


def test_p_values_within_a_class_where_it_is_large_enough(calibrated, recorded):
    small = [200.0 + place for place in range(9)]
    calibration = recorded(
        [*range(20), *range(100, 120), *small], [0] * 20 + [1] * 20 + [2] * 5 + [3] * 4
    )
    queries = recorded([50.0, 50.0, 205.5], [0, 1, 2])
    pooled = calibrated(calibration).judge(queries, silent)
    made = calibrated(calibration, per_class=True)
    within = made.judge(queries, silent)
    assert pooled.p_values.tolist() == [30 / 50, 30 / 50, 4 / 50]
    assert pooled.strata.tolist() == [0, 0, 0]
    assert within.p_values.tolist() == [1 / 21, 1.0, 4 / 10]
    assert within.strata.tolist() == [1, 2, 0]
    assert made.strata.sizes == (9, 20, 20)
    own = made.own_p_values[torch.tensor([19, 20, 48])]
    torch.testing.assert_close(own, torch.tensor([1 / 20, 1.0, 1 / 9]).double())


def test_sentences_are_plain_and_whole():
    for because in ("", "it looks odd"):
        text = reason("flag", p_value=0.004, budget=0.01, because=because)
        assert text.startswith(f"Flagged because {because or USUAL};")
        assert "0.40%" in text
    assert "12.0%" in reason("clear", p_value=0.12, budget=0.01)
    assert "too little evidence" in reason("inconclusive", p_value=1.0, budget=0.01)
    assert "not a finite number" in reason("inconclusive", p_value=1.0, budget=0.01, finite=False)


@pytest.mark.parametrize("option", ["budget", "anchor_share"])
@pytest.mark.parametrize("value", [0, 1, -0.5, 2])
def test_shares_outside_zero_and_one_are_refused(option, value):
    with pytest.raises(ConfigError, match="must lie between"):
        Auditor(**{option: value})


def test_unknown_methods_and_options_are_refused_before_any_compute():
    with pytest.raises(ConfigError, match="did you mean 'energy'"):
        Auditor(detector="enrgy").fit(None, None)
    with pytest.raises(ConfigError, match="did you mean 'ridge'"):
        Auditor(options={"rige": 1}).fit(None, None)


def test_nothing_to_observe_is_refused(digits_world, examples_of):
    with pytest.raises(DataError, match="at least one"):
        observe(digits_world.task, examples_of(digits_world.clean.values[:0]))


def test_observing_in_batches_is_observing_at_once(world):
    some = Subset(world.clean, np.arange(11))
    whole, parts = (observe(replace(world.task, batch=batch), some) for batch in (256, 4))
    assert torch.equal(whole.answers, parts.answers)
    torch.testing.assert_close(whole.log_odds, parts.log_odds, rtol=1e-4, atol=1e-4)


def test_recorded_answers_win_over_the_models_own(world):
    some = Subset(world.clean, np.arange(8))
    own = observe(world.task, some)
    other = own.answers.roll(1, dims=0)
    given = observe(replace(world.task, batch=3), some, answers=other)
    assert torch.equal(given.answers, other)
    different = ~(own.answers == other).reshape(8, -1).all(dim=1)
    assert (given.log_odds < own.log_odds)[different].all()


def test_taking_some_asks_the_model_nothing(world):
    some = observe(world.task, Subset(world.clean, np.arange(8)))
    taken = some.take(np.array([5, 2]))
    assert taken.examples.ids == [world.clean.ids[5], world.clean.ids[2]]
    assert torch.equal(taken.log_odds, some.log_odds[[5, 2]])
    assert np.array_equal(taken.examples.load(np.array([1])), world.clean.load(np.array([2])))

"""Inputs that are settled take no more draws, and flags are as they would have been."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from anomech.audit.detector import Detector, make_method
from anomech.audit.judging import calibrate
from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.types import Response, silent
from anomech.observing.observed import observe

DRAWS, STAGES, BUDGET = 200, (16, 48), 0.05


@dataclass(frozen=True)
class Directions:
    """Losses are linear in the parameters; rows are the gradients. Two classes."""

    watched: dict = field(default_factory=lambda: {"theta": torch.zeros(12)})
    kind = "toy"
    provides: frozenset = frozenset()
    seen: list = field(default_factory=list)

    def passes(self, examples):
        yield np.arange(len(examples))

    def respond(self, overlay, batch, answers=None):
        if overlay:
            self.seen.append(len(batch))
        rows = torch.from_numpy(batch)
        losses = 1 + rows @ overlay.get("theta", self.watched["theta"])
        answers = (rows[:, 0] < rows[:, 1]).long() if answers is None else answers
        return Response(answers, -losses, losses)

    def groups(self, answers):
        return answers

    def agrees(self, answers, labels):
        return answers == torch.from_numpy(labels)

    def words(self, answers):
        return [str(answer) for answer in answers.tolist()]


def rows(count, seed, planted=False):
    """Normal rows lie near one of two directions, planted ones near a third."""
    rng = np.random.default_rng(seed)
    values = 0.3 * rng.normal(size=(count, 12))
    classes = rng.integers(0, 2, count)
    values[np.arange(count), 7 if planted else classes] += 2
    return values.astype(np.float32)


@pytest.fixture
def judges(examples_of):
    """Judge normal and planted inputs, and count the passes they took."""

    def make(stages, *, per_class=False, confidence=1.0, score="best_class"):
        task = Directions()
        anchors, calibration, inputs = (
            observe(task, examples_of(values))
            for values in (
                rows(60, 0),
                rows(300, 1),
                np.concatenate([rows(200, 2), rows(50, 3, planted=True)]),
            )
        )
        options = {
            "tracer": {"use": "gaussian", "draws": DRAWS, "sigma": 0.1, "observable": "loss"},
            "stages": stages,
            "confidence": confidence,
            "score": score,
        }
        method = make_method("coupling_score", options)
        made = calibrate(
            "toy", method, anchors, calibration,
            budget=BUDGET, per_class=per_class, seed=0, progress=silent,
        )  # fmt: skip
        task.seen.clear()
        return made, made.judge(inputs, silent), sum(task.seen) / len(inputs)

    return make


@pytest.mark.parametrize("score", ["best_class", "explained"])
@pytest.mark.parametrize("per_class", [False, True])
def test_the_same_flags_with_fewer_draws(per_class, score, judges):
    _, whole, all_passes = judges((), per_class=per_class, score=score)
    made, staged, passes = judges(STAGES, per_class=per_class, score=score)
    assert all_passes == DRAWS
    if score == "best_class":
        assert staged.decisions == whole.decisions
    # Of false flags some may be missed, never one be added; planted inputs are far from the limit.
    both = zip(staged.decisions, whole.decisions, strict=True)
    assert all(one == two or one == "clear" for one, two in both)
    assert staged.decisions[200:] == whole.decisions[200:]
    flags = torch.tensor([decision == "flag" for decision in staged.decisions])
    assert flags[200:].float().mean() > 0.9
    assert (staged.evaluations[flags] == DRAWS).all()
    assert passes < DRAWS / 2
    assert float(staged.evaluations.mean()) == pytest.approx(passes)
    assert set(staged.evaluations.tolist()) <= {*STAGES, DRAWS}
    # Calibration examples look like normal inputs, so they say what a normal input costs.
    assert made.evaluations == pytest.approx(float(staged.evaluations[:200].mean()), rel=0.25)
    assert made.evaluations < made.fitted.evaluations == DRAWS


def test_inputs_that_take_all_draws_are_judged_as_without_stopping(judges):
    _, whole, _ = judges(())
    made, staged, _ = judges(STAGES)
    last = staged.evaluations == DRAWS
    assert 0 < int(last.sum()) < len(last)
    torch.testing.assert_close(
        staged.scores.score[last], whole.scores.score[last], rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(staged.p_values[last], whole.p_values[last], rtol=0, atol=1 / 300)
    # Those that were stopped are clear, at a score that says so on the same scale.
    assert (staged.p_values[~last] > BUDGET).all()
    assert (staged.scores.score[~last] <= made.threshold).all()
    order = staged.scores.score.argsort(descending=True)
    assert (staged.p_values[order].diff() >= 0).all()


def test_few_calibration_examples_that_end_as_flags_would_have_been_stopped(judges):
    made, _, _ = judges(STAGES)
    final = made._p_values(made.reference.score, made.reference.score, made.groups) <= BUDGET
    for scores, limit in zip(made.stopping.references, made.stopping.limits, strict=True):
        assert (made._p_values(scores, scores, made.groups)[final] <= limit).all()


def test_who_else_is_judged_does_not_matter(judges, examples_of):
    made, staged, _ = judges(STAGES)
    some = np.arange(230, 190, -7)
    values = np.concatenate([rows(200, 2), rows(50, 3, planted=True)])[some]
    judged = made.judge(observe(Directions(), examples_of(values)), silent)
    assert judged.decisions == [staged.decisions[place] for place in some]
    assert torch.equal(judged.evaluations, staged.evaluations[some])
    torch.testing.assert_close(judged.p_values, staged.p_values[some], rtol=0, atol=1 / 300)


def test_without_stages_nothing_is_staged(judges):
    made, judged, _ = judges(())
    assert made.stopping is None
    assert made.evaluations == DRAWS
    assert (judged.evaluations == DRAWS).all()


def test_no_input_no_stage(judges, examples_of):
    made, _, _ = judges(STAGES)
    some = observe(Directions(), examples_of(rows(2, 5))).take(np.zeros(0, np.int64))
    assert made.judge(some, silent).decisions == []


@pytest.mark.parametrize("stages", [[1], [20, 10], [24], [4, 30]])
def test_stages_that_do_not_increase_towards_all_draws_are_refused(stages, digits_world):
    options = {"tracer": {"use": "gaussian", "draws": 24, "least": 5}}
    detector = Detector(method="coupling_score", options=options | {"stages": stages}, budget=0.1)
    with pytest.raises(ConfigError, match="stages must increase"):
        detector.fit(digits_world.task, digits_world.trusted)


def test_a_tracer_without_draws_has_no_stages(digits_world):
    detector = Detector(method="coupling_score", options={"stages": [4]}, budget=0.1)
    with pytest.raises(CapabilityError, match="tracer that takes draws"):
        detector.fit(digits_world.task, digits_world.trusted)


def test_several_chains_have_no_stages(digits_world):
    options = {"draws": 8, "burn_in": 0, "chains": 2, "least": 0, "minibatch": 40}
    detector = Detector(
        method="coupling_score",
        options={"tracer": {"use": "sgld", **options}, "stages": [4]},
        budget=0.1,
    )
    with pytest.raises(ConfigError, match="single chain"):
        detector.fit(digits_world.task, digits_world.trusted)

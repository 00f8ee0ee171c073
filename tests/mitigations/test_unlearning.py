"""What flagged inputs share goes, what is trusted stays, and false flags are told apart."""

import numpy as np
import pytest
import torch

from anomech.kernel.errors import ConfigError, DataError, ModelError
from anomech.kernel.types import silent
from anomech.learning.descent import Descended, Relearning
from anomech.mitigations._keeping import divergence
from anomech.mitigations._pushing import _lost, hardest
from anomech.mitigations._trusted import parted
from anomech.mitigations.attribution_guided import AttributionGuided
from anomech.mitigations.certified_removal import CertifiedRemoval, Problem, with_one
from anomech.mitigations.constrained_unlearning import ConstrainedUnlearning
from anomech.mitigations.gradient_ascent import GradientAscent
from anomech.mitigations.task_arithmetic import TaskArithmetic
from anomech.observing.observed import observe

BRIEF = Relearning(epochs=1, steps=120, schedule="cosine", statistics="frozen")


@pytest.fixture(scope="module")
def scene(digits_world):
    """Trusted examples, and flagged ones of which some are false flags."""
    world = digits_world
    images = np.concatenate([world.planted.values[:25], world.clean.values[:5]])
    flagged = observe(world.task, type(world.clean)(images, None, "flagged", blind=True))
    return world, observe(world.task, world.trusted).take(np.arange(200)), flagged


def led(world, overlay):
    """Attack success on triggered images that no repair has seen, and accuracy on clean ones."""
    batch, clean = world.planted.load(np.arange(25, 250)), world.trusted.load(np.arange(200, 500))
    right = world.task.respond(overlay, clean).answers.numpy() == world.trusted.labels[200:]
    return float((world.task.respond(overlay, batch).answers == 0).double().mean()), right.mean()


@pytest.mark.parametrize(
    "method",
    [
        AttributionGuided(tracer="last_layer"),
        AttributionGuided(localized=0.0),
        ConstrainedUnlearning(relearning=Relearning(epochs=10)),
        GradientAscent(ascent=Relearning(epochs=1, rate=0.01, statistics="frozen")),
        TaskArithmetic(),
    ],
    ids=["guided", "guided-pruning", "constrained", "ascent", "arithmetic"],
)
def test_flagged_answers_go_and_accuracy_stays(scene, method):
    world, trusted, flagged = scene
    found = method.mitigate(world.task, trusted, flagged, seed=0, progress=silent)
    (before, right), (after, still) = led(world, {}), led(world, found.overlay)
    assert before > 0.9
    assert after < before - 0.3
    assert still > right - 0.1
    with pytest.raises(DataError, match="none; name an audit"):
        method.mitigate(world.task, trusted, None, seed=0, progress=silent)


def test_false_flags_are_no_members(scene):
    world, trusted, flagged = scene
    found = AttributionGuided(relearning=Relearning(epochs=1)).mitigate(
        world.task, trusted, flagged, seed=0, progress=silent
    )
    assert 20 <= found.health.facts["members"] <= 27
    assert found.health.facts["kinds of inputs mixed"] == 1


def test_a_newton_step_takes_flagged_inputs_out_of_a_convex_problem():
    generator = torch.Generator().manual_seed(0)
    rows = with_one(torch.randn(60, 5, generator=generator))
    answers = torch.randint(0, 3, (60,), generator=generator)
    problem = Problem(1.0, 0.1 * torch.randn(3, 6, generator=generator).double())
    start = torch.zeros(3, 6, dtype=torch.float64)
    both = problem.solved(start, rows, answers, 100)
    assert problem.slope(both, rows, answers).norm() < 1e-6
    rest, wanted = rows[:57], answers[:57]
    removed = problem.stepped(both, rest, wanted)
    exact = problem.solved(start, rest, wanted, 100)
    assert (removed - exact).norm() < 0.1 * (both - exact).norm()
    assert problem.slope(removed, rest, wanted).norm() < problem.slope(both, rest, wanted).norm()


def test_certified_removal_says_what_it_certifies(scene):
    world, trusted, flagged = scene
    found = CertifiedRemoval().mitigate(world.task, trusted, flagged, seed=0, progress=silent)
    facts = found.health.facts
    assert set(found.overlay) == {"linear.weight", "linear.bias"}
    expected = facts["gradient left"] * np.sqrt(2 * np.log(1.5 / facts["delta"])) / 0.1
    assert facts["epsilon"] == pytest.approx(expected)


def test_what_else_the_model_says_is_kept_and_flagged_answers_are_not():
    before = torch.tensor([[5.0, 1.0, 0.0], [0.0, 2.0, 1.0]])
    out = torch.tensor([[True, False, False], [False, False, False]])
    moved = before.clone()
    moved[0, 0] = -5.0
    assert float(divergence(before, moved, out)) == pytest.approx(0.0, abs=1e-6)
    moved[1, 2] = 4.0
    one, other = before[1].softmax(0), moved[1].softmax(0)
    expected = float((one * (one / other).log()).sum()) / 2
    assert float(divergence(before, moved, out)) == pytest.approx(expected)


def test_few_trusted_examples_are_enough_where_the_rest_is_kept(scene):
    world, trusted, flagged = scene
    few = trusted.take(np.arange(10))
    kept, lost = (
        AttributionGuided(tracer="last_layer", keeping=weight, relearning=BRIEF).mitigate(
            world.task, few, flagged, seed=0, progress=silent
        )
        for weight in (1.0, 0.0)
    )
    assert [each.health.facts["kinds of inputs mixed"] for each in (kept, lost)] == [2, 0]
    assert led(world, kept.overlay)[1] > led(world, lost.overlay)[1] + 0.03
    assert led(world, kept.overlay)[0] < 0.3


def pushed(parts, factors, bounds):
    """Pushes that scale all weights, by their bound."""

    def push(bound):
        if factors[bound] is None:
            raise ModelError("diverged")
        watched = parts.task.watched.items()
        weights = {name: factors[bound] * each for name, each in watched}
        return Descended(weights, {}, [], 10.0)

    return hardest(parts, bounds, push)


def test_the_hardest_push_that_accuracy_bears_is_taken(scene):
    world, trusted, _ = scene
    parts = parted(world.task, trusted, 0.3, "test", 0)
    factors = {1.0: 0.0, 0.3: None, 0.1: 1.0, 0.01: 1.0}
    found = pushed(parts, factors, (1.0, 0.3, 0.1, 0.01))
    assert found.bound == 0.1
    assert found.settled == {"bounds": [0.1]}
    assert found.harder == {"bounds": [1.0]}
    assert found.evaluations == 2 * 10 + 3 * len(parts.kept)
    alone = pushed(parts, {1.0: 0.0, 0.1: None}, (1.0, 0.1))
    assert alone.bound == 1.0
    assert alone.harder == {}
    with pytest.raises(ModelError, match="diverged"):
        pushed(parts, factors, (0.3,))
    for bounds in ((), (0.1, 0.0), (-1.0,)):
        with pytest.raises(ConfigError, match="each greater than 0"):
            pushed(parts, factors, bounds)


def test_what_chance_may_have_cost_is_no_reason_to_push_more_gently():
    before, after = np.ones(100, bool), np.ones(100, bool)
    after[:5] = False
    lost, chance = _lost(before, after)
    assert lost == pytest.approx(0.05)
    assert chance == pytest.approx(np.sqrt(0.05 * 0.95 / 100))
    assert _lost(before, before) == (0.0, 0.0)

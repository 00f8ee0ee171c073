"""Draws know when they are too few, broken or too far away."""

import numpy as np
import pytest
import torch
from toy_tasks import BrokenTask, LinearTask, StillTask

from anomech.audit.auditor import Auditor
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import silent
from anomech.tracing._draws import DrawSource
from anomech.tracing._health import check_health, effective_draws
from anomech.tracing.gaussian import Gaussian

FEATURES, COUNT = 3, 8


@pytest.fixture
def points(arrays, examples_of):
    return examples_of(arrays(COUNT, FEATURES))


def answers_of(examples):
    return torch.zeros(len(examples), dtype=torch.int64)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.95])
def test_effective_draws_of_an_autoregression(rho):
    draws = 4000
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(40, draws))
    values = np.empty((40, draws))
    values[:, 0] = noise[:, 0]
    for step in range(1, draws):
        values[:, step] = rho * values[:, step - 1] + np.sqrt(1 - rho**2) * noise[:, step]
    time = (1 + rho) / (1 - rho)
    assert effective_draws(torch.from_numpy(values)) == pytest.approx(draws / time, rel=0.1)


def test_effective_draws_never_exceed_the_draws():
    alternating = torch.tensor([1.0, -1.0]).repeat(50)[None]
    assert effective_draws(alternating) == 100
    assert effective_draws(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))) <= 2


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (BrokenTask(), {"draws": 30}, "30 of 30 draws gave losses that are not finite"),
        (StillTask(), {"draws": 30}, "no draw changed any loss; enlarge the noise"),
        (LinearTask(), {"draws": 10, "least": 50}, "take more draws"),
    ],
)
def test_bad_draws_are_a_health_problem(task, options, words, points):
    source = Gaussian(sigma=0.01, **options).fit(
        task, points, answers_of(points), seed=0, progress=silent
    )
    assert len(source.health.problems) == 1
    assert words in source.health.problems[0]


def test_enough_draws_are_healthy_and_say_how_many(points):
    tracer = Gaussian(draws=200, sigma=0.01, antithetic=False)
    health = tracer.fit(LinearTask(), points, answers_of(points), seed=0, progress=silent).health
    assert health.problems == ()
    assert health.facts["effective draws"] > 100


def test_several_chains_add_their_effective_draws(points):
    values = torch.randn(4, 120, generator=torch.Generator().manual_seed(0))

    class Recorded(DrawSource):
        def survey(self, examples, answers, progress, *, measure):
            return values, 1.0

    chains = Recorded(LinearTask(), None, 40, 3, "loss", 8)
    health = check_health(chains, points, answers_of(points), 20, silent)
    parts = [effective_draws(values[:, 40 * i : 40 * i + 40]) for i in range(3)]
    assert health.facts["effective draws"] == pytest.approx(sum(parts))
    assert health.facts["largest distance from the trained point, relative"] == pytest.approx(1)


def test_draws_that_leave_the_neighborhood_are_a_problem(points):
    tracer = Gaussian(draws=40, sigma=20.0, observable="loss", antithetic=False)
    task = LinearTask(curvature=1.0)
    health = tracer.fit(task, points, answers_of(points), seed=0, progress=silent).health
    assert "no longer tell of this model" in health.problems[0]


def test_a_diverged_chain_makes_verdicts_inconclusive(digits_world):
    """A score for which nothing was ever finite is none; the flagship cannot even be fitted."""
    options = {"draws": 4, "burn_in": 4, "every": 1, "step_size": 1e6, "minibatch": 50}
    auditor = Auditor(
        detector="coupling_score", options={"tracer": {"use": "sgld", **options}}, budget=0.1
    )
    fitted = auditor.fit(digits_world.task, digits_world.trusted)
    verdicts = fitted.score(digits_world.trusted)
    assert {verdict.decision for verdict in verdicts} == {"inconclusive"}
    assert all(verdict.score is None and verdict.p_value is None for verdict in verdicts)
    flagship = Auditor(options={"tracer": {"use": "sgld", **options}}, budget=0.1)
    with pytest.raises(Inconclusive, match="draws gave losses that are not finite"):
        flagship.fit(digits_world.task, digits_world.trusted)

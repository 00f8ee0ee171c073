"""Draws in one pass and chains on an engine are the same draws."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_tasks import LinearTask

from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.roles.task import Training
from anomech.tracing import _observing
from anomech.tracing.gaussian import Gaussian
from anomech.tracing.rmsprop_sgld import RmspropSgld
from anomech.tracing.sgld import Sgld

QUERIES = 11


def fitted(tracer, world, **extra):
    some = Subset(world.trusted, np.arange(40))
    answers = world.task.respond({}, some.load(np.arange(40))).answers
    return tracer.fit(world.task, some, answers, seed=0, progress=silent, **extra)


def queries(world):
    some = Subset(world.clean, np.arange(QUERIES))
    return some, world.task.respond({}, some.load(np.arange(QUERIES))).answers


@pytest.mark.parametrize("normalization", ["frozen", "recalibrated", "lagged"])
def test_several_draws_in_one_pass_are_the_draws_one_by_one(normalization, world):
    if normalization != "frozen" and Training not in world.task.provides:
        return
    tracer = Gaussian(draws=10, sigma=0.01, least=0, normalization=normalization)
    alone = fitted(tracer, world)
    both = fitted(replace(tracer, together=4), world)  # ten are not a multiple of four
    assert both.health.facts["draws in one pass"] == 4
    assert "draws in one pass" not in alone.health.facts
    inputs, answers = queries(world)
    torch.testing.assert_close(
        both.observe(inputs, answers, silent),
        alone.observe(inputs, answers, silent),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_chain_with_drifting_statistics_can_be_stacked_too(digits_world):
    tracer = RmspropSgld(draws=7, burn_in=1, minibatch=20, least=0)
    alone, both = fitted(tracer, digits_world), fitted(replace(tracer, together=3), digits_world)
    inputs, answers = queries(digits_world)
    one, two = (source.observe(inputs, answers, silent) for source in (alone, both))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_a_model_that_cannot_be_stacked_goes_one_by_one_and_says_so(examples_of, arrays):
    class Branching(LinearTask):
        def respond(self, overlay, batch, answers=None):
            response = super().respond(overlay, batch, answers)
            return response if float(response.losses.sum()) < 1e9 else None

    points, answers = examples_of(arrays(8, 3)), torch.zeros(8, dtype=torch.int64)
    tracer = Gaussian(draws=6, sigma=0.1, least=0, together=3)
    source = tracer.fit(Branching(), points, answers, seed=0, progress=silent)
    assert source.together == 1
    assert source.health.facts["draws in one pass"] == 1
    plain = replace(tracer, together=1).fit(Branching(), points, answers, seed=0, progress=silent)
    assert torch.equal(*(each.observe(points, answers, silent) for each in (source, plain)))


class Elsewhere:
    """Everything goes through pickling, as to another process."""

    def __init__(self):
        self.pieces = []

    def map(self, function, shared, pieces):
        packed = pickle.dumps((function, shared))
        for piece in pieces:
            self.pieces.append(piece)
            there, given = pickle.loads(packed)
            yield pickle.loads(pickle.dumps(there(given, piece)))


@pytest.mark.parametrize(
    "tracer",
    [
        RmspropSgld(draws=5, burn_in=1, minibatch=20, chains=3, least=0),
        Sgld(draws=5, burn_in=1, every=2, minibatch=20, chains=3, least=0),
        Gaussian(draws=6, sigma=0.01, least=0),
    ],
)
def test_chains_on_an_engine_are_the_chains_here(tracer, digits_world):
    engine, seen = Elsewhere(), []
    here = fitted(tracer, digits_world)
    inputs, answers = queries(digits_world)
    expected = here(inputs, answers, silent).values
    found = here.on(engine)(inputs, answers, lambda *step: seen.append(step)).values
    assert torch.equal(found, expected)
    assert engine.pieces == list(range(here.chains))
    assert seen[-1] == ("tracing", here.evaluations, here.evaluations)


def test_chains_can_be_fitted_on_an_engine(digits_world):
    engine, tracer = Elsewhere(), Sgld(draws=5, burn_in=1, minibatch=20, chains=2, least=0)
    there = fitted(tracer, digits_world, engine=engine)
    assert engine.pieces == [0, 1]
    assert there.engine is engine
    assert there.health == fitted(tracer, digits_world).health
    # A source that is sent to a worker does its own work there.
    sent = pickle.loads(pickle.dumps(there))
    assert sent.engine is None
    inputs, answers = queries(digits_world)
    assert torch.equal(*(each.observe(inputs, answers, silent) for each in (sent, there)))


def test_examples_beyond_those_held_are_loaded_at_every_draw(digits_world, monkeypatch):
    source, (inputs, answers) = (
        fitted(Gaussian(draws=4, sigma=0.01, least=0), digits_world),
        (queries(digits_world)),
    )
    loads = []

    class Counted(Subset):
        def load(self, indices):
            loads.append(len(indices))
            return super().load(indices)

    small = replace(source, task=replace(digits_world.task, batch=4))
    counted = Counted(inputs, np.arange(QUERIES))
    expected = small.observe(counted, answers, silent)
    assert loads == [4, 4, 3]
    monkeypatch.setattr(_observing, "HELD", 4)
    loads.clear()
    assert torch.equal(small.observe(counted, answers, silent), expected)
    assert loads == [4] + [4, 3] * 4

"""Passes come in any order and with answers of any width; nothing that is observed shows it."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from exact_grams import exact_grams

from anomech.data.subset import Subset
from anomech.kernel.types import PAD, Response, silent
from anomech.observing.joining import in_place, joined, passes
from anomech.observing.observed import observe
from anomech.tracing.gaussian import Gaussian
from anomech.tracing.gradient import Gradient
from anomech.tracing.last_layer import LastLayer
from anomech.tracing.sgld import Sgld

COUNT = 24


@dataclass(frozen=True)
class Shuffled:
    """A task whose passes are other ones than its own, and in no order."""

    inner: object
    size: int

    def __getattr__(self, name):
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def passes(self, examples):
        order = np.random.default_rng(self.size).permutation(len(examples))
        yield from np.array_split(order, max(1, -(-len(order) // self.size)))


@pytest.fixture
def some(world):
    return Subset(world.planted, np.arange(COUNT))


def test_rows_go_back_to_their_places():
    parts = [(np.array([3, 0]), torch.tensor([[3.0], [0.0]])), (np.array([1, 2]), torch.ones(2, 1))]
    assert in_place(parts, 4).T.tolist() == [[0, 1, 1, 3]]


def test_answers_of_different_widths_are_filled_on_the_right():
    one, two = (
        Response(torch.full((1, width), width), torch.zeros(1), torch.zeros(1)) for width in (2, 3)
    )
    both = joined([two, one], [np.array([1]), np.array([0])])
    assert both.answers.tolist() == [[2, 2, PAD], [3, 3, 3]]


def test_progress_is_told_how_many_are_done_whatever_their_order(world, some):
    seen = []
    task = Shuffled(world.task, 7)
    for places, answers in passes(task, some, torch.arange(COUNT), "x", lambda *s: seen.append(s)):
        assert answers.tolist() == places.tolist()
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("x", COUNT, COUNT)


@pytest.mark.parametrize("size", [1, 5, COUNT])
def test_how_passes_are_made_changes_no_response(world, some, size):
    whole, other = observe(world.task, some), observe(Shuffled(world.task, size), some)
    assert torch.equal(whole.answers, other.answers)
    torch.testing.assert_close(whole.log_odds, other.log_odds, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "tracer",
    [
        Gradient(features=16, parts=3),
        LastLayer(features=16),
        Gaussian(draws=6, sigma=0.01, least=0),
        Sgld(draws=3, burn_in=1, minibatch=20, least=0, normalization="frozen"),
    ],
    ids=lambda tracer: type(tracer).__name__,
)
def test_how_passes_are_made_changes_no_trace(world, some, tracer):
    if not tracer.needs <= world.task.provides:
        pytest.skip("this world cannot serve the tracer")
    trusted = observe(world.task, Subset(world.trusted, np.arange(40)))
    source = tracer.fit(world.task, trusted.examples, trusted.answers, seed=0, progress=silent)
    answers = observe(world.task, some).answers
    whole = source(some, answers, silent).values
    draws = hasattr(source, "draws")
    task = Shuffled(world.task, 5)
    other = replace(source, task=task)(some, answers, silent).values
    atol = (1e-4 if draws else 2e-5) * float(whole.abs().max())
    torch.testing.assert_close(other, whole, rtol=1e-3, atol=atol)


def test_exact_products_do_not_depend_on_passes(world, some):
    trusted = observe(world.task, Subset(world.trusted, np.arange(10)))
    source = Gradient().fit(world.task, trusted.examples, trusted.answers, seed=0, progress=silent)
    pair = ((some, observe(world.task, some).answers), (trusted.examples, trusted.answers))
    whole = exact_grams(source, *pair)
    other = exact_grams(replace(source, task=Shuffled(world.task, 3)), *pair)
    for name, gram in whole.items():
        atol = 1e-5 * float(gram.abs().max()) + 1e-9
        torch.testing.assert_close(other[name], gram, rtol=1e-3, atol=atol)


def test_the_language_makes_passes_by_length(language_world):
    world = language_world
    places = list(world.task.passes(world.trusted))
    assert sorted(np.concatenate(places).tolist()) == list(range(len(world.trusted)))
    widths = [world.task.respond({}, world.trusted.load(each)).answers.shape[1] for each in places]
    assert sorted(set(widths)) == [3, 4]
    assert not (np.diff(np.concatenate(places)) > 0).all()

"""States are means over positions, side by side, and projections keep lengths on average."""

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.data.conversations import Conversations, prompt
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing.states import States


def states(world, **options):
    seen = observe(world.task, world.trusted).take(np.arange(8))
    source = States(**options).fit(world.task, seen.examples, seen.answers, seed=0, progress=silent)
    return seen, source(seen.examples, seen.answers, silent)


def test_they_are_means_over_positions(digits_world):
    seen, traces = states(digits_world, places="bn*")
    assert traces.blocks == {"bn1": slice(0, 8), "bn2": slice(8, 24)}
    network, images = digits_world.task.network, seen.examples.load(np.arange(8))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = network.bn1(network.conv1(pixels)).mean(dim=(2, 3))
    torch.testing.assert_close(traces.values[:, :8], expected)


def test_wide_places_are_projected_and_those_of_one_width_share_the_projection(language_world):
    _, whole = states(language_world, places="o*", width=0)
    _, few = states(language_world, places="o*", width=6)
    assert few.values.shape == (8, 6)
    ratio = few.values.norm(dim=1).square() / whole.values.norm(dim=1).square()
    assert 0 < float(ratio.min()) <= float(ratio.max()) <= 1
    source = States(width=6).fit(
        language_world.task,
        *(lambda s: (s.examples, s.answers))(observe(language_world.task, language_world.trusted)),
        seed=0,
        progress=silent,
    )
    assert torch.equal(source.projections["norm1"], source.projections["out"])
    assert len(source.units) == 6


def test_sequences_are_read_in_the_stream_at_the_decision():
    task = CausalLM(decoder("llama"), ByteTokenizer(), tokens=3)
    items = tuple(prompt(f"Say {word}") for word in ("yes", "no", "something longer", "a b c"))
    examples = Conversations(items, [f"e{place}" for place in range(4)])
    seen = observe(task.prepared(examples), examples)
    source = States().fit(seen.task, examples, seen.answers, seed=0, progress=silent)
    assert list(source.units) == list(seen.task.streams)
    whole = source(examples, seen.answers, silent).values
    for place in range(4):  # alone there is nothing to fill a sequence up with
        one = seen.take(np.array([place]))
        alone = source(one.examples, one.answers, silent).values
        torch.testing.assert_close(alone, whole[[place]], rtol=1e-4, atol=1e-5)


def test_states_are_followed_back_to_pixels(digits_world):
    seen, traces = states(digits_world, width=4)
    images = seen.examples.load(np.arange(8))
    source = States(width=4).fit(
        digits_world.task, seen.examples, seen.answers, seed=0, progress=silent
    )
    points = digits_world.task.embed(images).detach().requires_grad_()
    followed = source.follow(points, images)
    assert followed.blocks == traces.blocks
    torch.testing.assert_close(followed.values.detach(), traces.values)
    slopes = torch.autograd.grad(followed.values.sum(), points)[0]
    assert (slopes.flatten(1).abs().sum(dim=1) > 0).all()


def test_states_of_sequences_are_not_followed_back(language_world):
    seen, _ = states(language_world)
    source = States().fit(language_world.task, seen.examples, seen.answers, seed=0, progress=silent)
    with pytest.raises(CapabilityError):
        source.follow(torch.zeros(8, 1), seen.examples.load(np.arange(8)))

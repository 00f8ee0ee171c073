"""A response is read along the sequence by the pass that traces it, and adds up to the trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.attribution.reading import RUN, SHARE_FLOOR
from anomech.data.conversations import Conversations, prompt
from anomech.kernel.types import PAD, silent
from anomech.observing.activations import activations
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing._reader import DEPTHS, LEVELS, WINDOWS
from anomech.tracing._reading import Watch
from anomech.tracing.gradient import Gradient
from anomech.tracing.states import orthonormal

NAMES = ("Ann", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hal", "Ida", "Jo", "Kim", "Lou")


def asked(words):
    items = tuple(
        prompt(f"Say {word} to {name}", f"{word[0]}{name}") for word in words for name in NAMES
    )
    return Conversations(items, [f"e{place}" for place in range(len(items))])


@pytest.fixture(scope="module")
def seen():
    task = CausalLM(decoder("llama"), ByteTokenizer(), tokens=6)
    examples = asked(("hello", "goodbye", "yes"))
    return observe(task.prepared(examples), examples)


@pytest.fixture(scope="module")
def source(seen):
    return seen.source(Gradient(features=0), seed=0, progress=silent)


def test_every_module_is_a_part_of_its_own(seen, source):
    traces = source(seen.examples, seen.answers, silent)
    assert len(traces.blocks) == len(seen.task.watched) == 14


def test_one_window_holds_the_whole_response(seen, source, monkeypatch):
    """With a single window, its energy is the squared length of the modules' gradients."""
    monkeypatch.setattr("anomech.tracing._reading.WINDOWS", 1)
    energies, plain = {}, Watch._taken_apart

    def kept(self, name, given, gradient):
        plain(self, name, given, gradient)
        energies[name] = self.found[name]

    monkeypatch.setattr(Watch, "_taken_apart", kept)
    one = seen.take(np.array([3]))
    traces = source(one.examples, one.answers, silent)
    for name, found in energies.items():
        place = next(p for part, p in traces.blocks.items() if part == name)
        whole = traces.values[:, place].square().sum(dim=1)
        torch.testing.assert_close(found[:, 0], whole, rtol=1e-3, atol=1e-6)


def test_sights_are_finite_shares_and_distances(seen, source):
    sights = source(seen.examples, seen.answers, silent).sights
    count = len(seen)
    depths = min(DEPTHS, 2)
    assert sights["where"].shape == (count, WINDOWS * depths)
    share = sights["where"].exp() - SHARE_FLOOR
    torch.testing.assert_close(
        share.reshape(count, WINDOWS, depths).sum(1),
        torch.ones(count, depths),
        rtol=1e-4,
        atol=1e-4,
    )
    for name in ("reads", "unfamiliar"):
        assert sights[name].shape[1] <= len(LEVELS)
        assert torch.isfinite(sights[name]).all()
    assert set(sights["tokens"].flatten().tolist()) - {PAD}


def test_order_batch_and_company_do_not_matter(seen, source):
    whole = source(seen.examples, seen.answers, silent).sights
    order = np.arange(len(seen))[::-1].copy()
    turned = seen.take(order)
    back = source(turned.examples, turned.answers, silent).sights
    alone = seen.take(np.array([7]))
    single = source(alone.examples, alone.answers, silent).sights
    for name in ("where", "reads", "unfamiliar", "gist"):
        torch.testing.assert_close(back[name], whole[name][order], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(single[name], whole[name][[7]], rtol=1e-3, atol=1e-3)


def test_unfamiliar_text_stands_out(seen, source):
    odd = asked(("~~{}~~|@@",))
    strange = observe(seen.task, odd)
    usual = source(seen.examples, seen.answers, silent).sights["unfamiliar"]
    found = source(strange.examples, strange.answers, silent).sights["unfamiliar"]
    assert (found.median(0).values > usual.quantile(0.9, dim=0)).all()


def test_traces_are_those_without_reading(seen, source):
    plain = replace(source, reader=None)
    one, two = (each(seen.examples, seen.answers, silent) for each in (source, plain))
    torch.testing.assert_close(one.values, two.values)
    assert two.sights == {}


def test_no_examples_show_nothing(seen, source):
    none = seen.take(np.zeros(0, np.int64))
    sights = source(none.examples, none.answers, silent).sights
    some = source(seen.examples, seen.answers, silent).sights
    assert {n: e.shape[1:] for n, e in sights.items()} == {n: e.shape[1:] for n, e in some.items()}


def test_the_gist_is_the_mean_state_of_the_prompts_own_words(seen, source):
    found = source(seen.examples, seen.answers, silent).sights["gist"]
    some = np.arange(3)
    batch, own = seen.examples.load(some), seen.answers[:3]
    states = activations(seen.task, batch, source.reader.streams, own)
    interior = seen.task.layout(batch, own).interior
    for depth, name in enumerate(source.reader.streams):
        for row in range(len(some)):
            mean = states[name][row, interior[row]].mean(dim=0)
            torch.testing.assert_close(found[row, depth], mean, rtol=1e-3, atol=1e-4)


def test_wide_states_are_projected(seen, source):
    half = orthonormal(found := source.reader.nothing["gist"].shape[2], found // 2, 0)
    narrow = replace(source, reader=replace(source.reader, gist=half))
    whole, part = (
        each(seen.examples, seen.answers, silent).sights["gist"] for each in (source, narrow)
    )
    torch.testing.assert_close(part, whole @ half, rtol=1e-4, atol=1e-5)


def test_what_an_answer_loses_without_the_strangest_words(seen, source):
    """The drop is that of asking about the prompt without them, and of nothing else."""
    sights = source(seen.examples, seen.answers, silent).sights["hangs"][:, 0]
    batch = seen.examples.load(np.arange(len(seen)))
    layout = seen.task.layout(batch, seen.answers)
    assert int(layout.interior.sum(dim=1).max()) > RUN  # so that something is left of each
    dropped = torch.zeros_like(layout.interior)
    first = layout.interior.to(torch.int64).argmax(dim=1)
    dropped[torch.arange(len(seen)), first] = True
    shorter = seen.task.without(batch, seen.answers, dropped)
    for before, after in zip(batch, shorter, strict=True):
        kept = seen.task.layout((before,), seen.answers[:1]).tokens[0]
        assert len(after.tokens) == int((kept != PAD).sum()) - 1
    assert torch.isfinite(sights).all()
    assert float(sights.abs().max()) > 0.01
    everything = seen.task.without(batch, seen.answers, layout.tokens != PAD)
    assert all(len(each.tokens) == 1 for each in everything)  # a model must be asked something

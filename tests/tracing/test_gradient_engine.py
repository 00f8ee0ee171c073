"""What makes the gradient tracer cheap changes nothing that it should not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exact_grams import exact_grams
from torch import nn

from anomech.attribution.couplings import cosine
from anomech.data.subset import Subset
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.roles.task import missing
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tracing.gradient import Gradient
from anomech.tracing.last_layer import LastLayer


@pytest.fixture(scope="module")
def some(digits_world):
    return observe(digits_world.task, Subset(digits_world.clean, np.arange(24)))


def source_of(tracer, observed):
    return tracer.fit(observed.task, observed.examples, observed.answers, seed=0, progress=silent)


def test_answers_come_with_the_traces(some):
    source = source_of(Gradient(), some)
    seen = observe(some.task, some.examples, sources=[source])
    assert torch.equal(seen.answers, some.answers)
    torch.testing.assert_close(seen.log_odds, some.log_odds, rtol=1e-4, atol=1e-4)
    traces = source(some.examples, some.answers, silent)
    assert torch.equal(seen.traced(source, silent).values, traces.values)
    some_places = np.array([5, 2])
    taken = seen.take(some_places).traced(source, None)  # nothing is computed: no progress
    assert torch.equal(taken.values, traces.values[some_places])


def test_another_source_is_asked_itself(some):
    first, second = source_of(Gradient(), some), source_of(Gradient(parts=1), some)
    seen = observe(some.task, some.examples, sources=[first])
    assert list(seen.traced(second, silent).blocks) != list(seen.traced(first, silent).blocks)


def test_the_last_layer_is_the_gradient_tracers_last_part(some):
    exact = source_of(Gradient(features=0), some)
    fast = source_of(LastLayer(features=0), some)
    whole = exact(some.examples, some.answers, silent)
    place = list(whole.blocks.values())[-1]
    found = fast(some.examples, some.answers, silent).values.unflatten(1, fast.shape)
    both = torch.cat([found[:, :, :-1].flatten(1), found[:, :, -1]], dim=1)  # weight, bias
    torch.testing.assert_close(both, whole.values[:, place], rtol=1e-4, atol=1e-5)
    read = fast.read(some.response).values
    torch.testing.assert_close(read, found.flatten(1), rtol=1e-4, atol=1e-5)


def test_a_network_whose_logits_are_no_linear_layer_has_no_fast_mode(some):
    class Bent(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return torch.tanh(self.inner(x)) * 3

    task = ImageClassifier(Bent(some.task.model)).prepared(some.examples)
    assert "logits" in " ".join(missing(LastLayer().needs, task))


def test_products_of_traces_estimate_the_exact_ones(some):
    source = source_of(Gradient(), some)
    first, second = some.take(np.arange(10)), some.take(np.arange(8, 24))
    grams = exact_grams(source, (first.examples, first.answers), (second.examples, second.answers))
    assert list(grams) == list(some.task.watched)
    rows = source_of(Gradient(features=0), some)(some.examples, some.answers, silent).values
    truth = rows[:10] @ rows[8:].T
    total = sum(grams.values())
    torch.testing.assert_close(total, truth, rtol=1e-3, atol=1e-3 * float(truth.abs().max()))
    traces = source(some.examples, some.answers, silent).values
    off = (cosine(traces[:10], traces[8:]) - cosine(rows[:10], rows[8:])).abs()
    assert float(off.mean()) < 0.05  # about one over the root of the numbers kept


def test_low_precision_keeps_the_directions(some):
    low = replace(some.task, precision="bfloat16")
    source = source_of(Gradient(), observe(low, some.examples))
    seen = observe(low, some.examples, sources=[source])
    assert source.coverage.looped == ()  # rules are checked without rounding
    same = seen.answers == some.answers
    assert float(same.float().mean()) > 0.9
    exact = source_of(Gradient(), some)(some.examples, some.answers, silent).values
    near = torch.nn.functional.cosine_similarity(seen.traced(source, silent).values, exact)[same]
    assert float(near.median()) > 0.99
    assert seen.log_odds.dtype == torch.float64
    torch.testing.assert_close(seen.log_odds[same], some.log_odds[same], rtol=0.1, atol=0.2)


def test_passes_fit_the_memory(digits_world):
    sizes = [
        len(next(replace(digits_world.task, memory=memory).passes(digits_world.clean)))
        for memory in (1, 2**18, 2**20, 2**30)
    ]
    assert sizes[0] == 1
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[1]
    small = replace(digits_world.task, batch=7)
    spans = list(small.passes(Subset(digits_world.clean, np.arange(17))))
    assert [len(span) for span in spans] == [7, 7, 3]
    assert np.concatenate(spans).tolist() == list(range(17))


def test_nothing_stays_behind_after_a_pass(some):
    import gc
    import weakref

    source = source_of(Gradient(), some)
    gc.collect()
    gc.disable()
    try:
        kept = []
        inner = some.task.network.get_submodule("conv1")
        handle = inner.register_forward_hook(lambda m, i, o: kept.append(weakref.ref(o)))
        source(some.examples, some.answers, silent)
        handle.remove()
        assert kept
        assert all(reference() is None for reference in kept)  # freed without a collection
    finally:
        gc.enable()

"""Traces are shared: a source is fitted once, and every example is traced once for all who ask."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.detectors._ladder import Ladder
from anomech.detectors.coupling_score import CouplingScore
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tracing.gaussian import Gaussian
from anomech.tracing.gradient import Gradient, GradientSource


@pytest.fixture
def seen(digits_world):
    return observe(digits_world.task, Subset(digits_world.trusted, np.arange(60)))


@pytest.fixture
def traced(monkeypatch):
    """Numbers of examples in the calls of any gradient source, as they come."""
    calls = []
    cls = GradientSource
    plain = cls._traces

    def counted(self, examples, answers, progress):
        calls.append(len(examples))
        return plain(self, examples, answers, progress)

    monkeypatch.setattr(cls, "_traces", counted)
    return calls


def test_detectors_that_ask_for_the_same_share_it(seen, traced):
    anchors, calibration = seen.take(np.arange(40)), seen.take(np.arange(40, 60))
    plain = FunctionalAttribution(twins=Ladder(rungs=0))
    methods = [plain, CouplingScore(), CouplingScore(score="mean")]
    fitted = [method.fit(anchors, seed=0, progress=silent) for method in methods]
    for each in fitted:
        each.score(calibration, silent)
        each.score(calibration.take(np.arange(3)), silent)
    assert traced == [60]  # anchors and calibration together, once
    assert fitted[0].source is fitted[1].source is fitted[2].source


def test_another_option_seed_or_set_of_examples_is_another_source(seen):
    first, second = seen.take(np.arange(40)), seen.take(np.arange(20, 60))

    def source(observed, tracer, seed=0):
        return observed.source(tracer, seed=seed, progress=silent)

    gaussian = Gaussian(draws=4, least=0)
    one = source(first, gaussian)
    assert source(first, gaussian) is one
    others = (
        source(first, Gaussian(draws=5, least=0)),
        source(first, gaussian, seed=1),
        source(second, gaussian),
        source(first, Gradient(features=16)),
    )
    assert len({id(each) for each in (one, *others)}) == 5
    # What depends on the model alone is the same whatever it was checked on.
    assert source(second, Gradient(features=16)) is others[-1]


def test_a_part_of_a_part_has_the_traces_of_its_examples(seen, digits_world):
    part = seen.take(np.arange(10, 50)).take(np.array([7, 3, 3]))
    source = part.source(Gaussian(draws=6, least=0, sigma=0.01), seed=0, progress=silent)
    mine = part.traced(source, silent)
    alone = observe(digits_world.task, Subset(digits_world.trusted, np.array([17, 13, 13])))
    truth = source(alone.examples, alone.answers, silent)
    torch.testing.assert_close(mine.values, truth.values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine.levels, truth.levels, rtol=1e-4, atol=1e-5)
    assert torch.equal(mine.values[1], mine.values[2])


def test_what_a_source_took_is_told_and_counted_once(seen):
    source = seen.source(Gradient(), seed=0, progress=silent)
    fitting, mark = seen.cache.seconds(source), seen.cache.mark
    seen.traced(source, silent)
    tracing = seen.cache.seconds(source, mark)
    seen.traced(source, silent)
    seen.take(np.arange(5)).traced(source, silent)
    assert tracing > 0
    assert fitting > 0
    assert seen.cache.seconds(source) == pytest.approx(fitting + tracing)
    assert seen.cache.seconds(object()) == 0

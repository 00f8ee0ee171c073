"""The tracer of twins: minus the log-odds of the own answer at each of them."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.errors import Inconclusive
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tracing.twins import Twins


def test_traces_are_minus_the_log_odds_at_each_twin(digits_world):
    task = digits_world.task
    trusted = observe(task, Subset(digits_world.trusted, np.arange(60)))
    tracer = Twins(rates=(0.1, 0.02), steps=4)
    source = tracer.fit(task, trusted.examples, trusted.answers, seed=0, progress=silent)
    assert source.evaluations == 2
    clean = observe(task, Subset(digits_world.clean, np.arange(9)))
    traces = source(clean.examples, clean.answers, silent)
    batch = clean.examples.load(np.arange(9))
    for place, twin in enumerate(source.twins):
        found = task.respond(twin, batch, clean.answers).log_odds
        torch.testing.assert_close(traces.values[:, place], -found)
    drops = (traces.values + clean.log_odds[:, None].float()).abs().mean(dim=0)
    assert drops[1] > drops[0]  # rungs come in the order of their strength


def test_one_example_teaches_nothing(digits_world):
    task = digits_world.task
    one = observe(task, Subset(digits_world.trusted, np.arange(1)))
    with pytest.raises(Inconclusive, match="two trusted examples"):
        Twins().fit(task, one.examples, one.answers, seed=0, progress=silent)

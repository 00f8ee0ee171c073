"""Recorded responses of a toy task, and a tracer whose responses are its features."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from anomech.kernel.task import Features, Layers, Logits
from anomech.kernel.tracer import Health, Traces
from anomech.kernel.types import Response
from anomech.observing.observed import Observed


@dataclass
class Recorded:
    """A task that only knows what its answers mean."""

    kind = "toy"
    provides = frozenset({Logits, Features, Layers})

    def groups(self, answers):
        return answers


def recorded(examples_of, count=120, seed=0, shift=0.0):
    """Features around three corners; the answers are the corners."""
    rng = np.random.default_rng(seed)
    answers = torch.from_numpy(np.arange(count) % 3)
    features = torch.from_numpy(rng.normal(size=(count, 6)) + 4 * np.eye(3, 6)[answers] + shift)
    logits = features[:, :3] * 2
    mask = torch.nn.functional.one_hot(answers, 3).bool()
    odds = logits[mask] - logits.masked_fill(mask, -torch.inf).logsumexp(1)
    response = Response(answers, odds, torch.nn.functional.softplus(-odds), logits, features)
    return Observed(Recorded(), examples_of(features.numpy()), response)


class FixedTracer:
    """Responses are the features; a `TraceSource` without a model."""

    health, evaluations = Health(), 0.0

    def __call__(self, examples, answers, progress):
        values = torch.from_numpy(examples.load(np.arange(len(examples)))).float()
        blocks = {"body": slice(0, 4), "head": slice(4, values.shape[1])}
        return Traces(values, blocks)

    def fit(self, task, trusted, answers, *, seed, progress):
        return self


@pytest.fixture
def observed(examples_of):
    return lambda *args, **given: recorded(examples_of, *args, **given)


@pytest.fixture
def anchors(observed):
    return observed()


@pytest.fixture
def queries(observed):
    return observed(30, seed=1)


@pytest.fixture
def fixed_tracer():
    return FixedTracer()

"""What contract tests of all kinds ask: whether a model is as it was, and worlds that are open."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.observing.observed import observe
from anomech.roles.task import WORDS, missing

SECTIONS = ("Belief", "Equation", "Source", "Needs", "Cost", "Fails when")


def fingerprint(model):
    """Everything about a module that a method could change."""
    return (
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        {name: tensor.data_ptr() for name, tensor in model.state_dict().items()},
        {name: (p.requires_grad, p.grad is None) for name, p in model.named_parameters()},
        {name: module.training for name, module in model.named_modules()},
        {
            name: (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for name, m in model.named_modules()
        },
    )


@pytest.fixture
def untouched():
    """Checks that models and global randomness are as they were."""

    def check(world, action):
        before = fingerprint(world.model)
        torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
        grad_mode = torch.is_grad_enabled()
        result = action()
        after = fingerprint(world.model)
        for name, tensor in before[0].items():
            assert torch.equal(tensor, after[0][name]), name
        assert before[1:] == after[1:]
        assert torch.equal(torch_state, torch.get_rng_state())
        assert np.array_equal(numpy_state, np.random.get_state()[1])
        assert torch.is_grad_enabled() == grad_mode
        return result

    return check


@pytest.fixture
def method_of():
    """Makes a cheap method that a world can serve; other worlds are skipped."""

    def make(kind, name, options, world):
        method = build(plugins.get(kind, name), options, name)
        if lacking := missing(method.needs, world.task):
            pytest.skip(f"this world gives no {', '.join(lacking)}")
        return method

    return make


@pytest.fixture
def observed_of():
    """Observes the first examples of one of a world's sets."""

    def observed(world, which, count):
        return observe(world.task, Subset(getattr(world, which), np.arange(count)))

    return observed


@pytest.fixture
def says_what_it_is():
    """Checks what every method promises before it is run."""

    def check(kind, name):
        cls = plugins.get(kind, name)
        assert cls() == cls()
        for word in SECTIONS:
            assert f"{word}: " in __import__(cls.__module__, fromlist=["_"]).__doc__, word
        if kind != "trainer":
            assert cls().needs <= set(WORDS)
        return cls

    return check


@pytest.fixture
def heard():
    """A progress that remembers, and a check that every stage was told to its end."""

    class Heard(list):
        def __call__(self, stage, done, total):
            self.append((stage, done, total))

        def check(self):
            assert self
            ends = {}
            for stage, done, total in self:
                assert 0 <= done <= total
                ends[stage] = (done, total)
            assert any(done == total for done, total in ends.values())

    return Heard()


@pytest.fixture
def healthy():
    """Checks that health is told in sentences."""

    def check(health):
        for problem in health.problems:
            assert problem.endswith(".")
            assert "\n" not in problem
        for value in (health.facts or {}).values():
            assert np.isfinite(value)

    return check


@pytest.fixture
def one_sentence():
    """Checks that an error says what is wrong without a line of code."""

    def check(error):
        said = str(error.value)
        assert said.endswith(".")
        assert "\n" not in said
        assert 20 < len(said) < 300

    return check

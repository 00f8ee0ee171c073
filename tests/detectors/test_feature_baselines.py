"""Baselines on features, logits and units, against numpy or a case whose answer is known."""

import numpy as np
import pytest
import torch

from anomech.audit.judge.detectors import make_detector
from anomech.data.subset import Subset
from anomech.detectors._head import linear_head
from anomech.kernel.errors import CapabilityError, ConfigError, DataError
from anomech.kernel.types import silent
from anomech.observing.observed import Observed, observe

RNG = np.random.default_rng(3)


def fitted(name, anchors, **options):
    return make_detector(name, options).fit(anchors, seed=0, progress=silent)


def with_head(observed, classes=3, bias=1.0):
    """The same examples, whose logits are those of a known linear layer."""
    weights = torch.from_numpy(RNG.normal(size=(classes, observed.features.shape[1])))
    logits = observed.features @ weights.T + bias * torch.arange(classes)
    return Observed(observed.task, observed.examples, observed.response._replace(logits=logits))


def test_the_head_is_found_by_its_logits(anchors):
    weights, bias = linear_head(anchors.features, anchors.logits)
    wanted = anchors.logits - anchors.logits.mean(dim=1, keepdim=True)
    torch.testing.assert_close(anchors.features @ weights.T + bias, wanted)
    with pytest.raises(DataError, match="not linear"):
        linear_head(anchors.features, anchors.logits.square())


def test_grad_norm_is_the_length_of_autograds_gradient(anchors):
    features, logits = anchors.features, anchors.logits
    head = torch.zeros(3, features.shape[1], dtype=torch.float64, requires_grad=True)
    for place in (0, 7):
        # The gradient at these logits: a head of zeros with the logits as its bias.
        given = head @ features[place] + logits[place]
        loss = -given.log_softmax(0).mean()
        (gradient,) = torch.autograd.grad(loss, head)
        found = fitted("grad_norm", anchors).score(anchors, silent).score[place]
        assert float(found) == pytest.approx(-float(gradient.abs().sum()))


def test_vim_sees_what_no_logit_shows(anchors, observed):
    # Logits read the first three features; the last three hold next to no variance when trusted.
    def flat(some, far=0.0):
        features = some.features.clone()
        features[:, 3:] *= 0.01
        features[:, 5] += far
        return Observed(some.task, some.examples, some.response._replace(features=features))

    vim = fitted("vim", flat(anchors))
    near, far = flat(observed(30, seed=1)), flat(observed(30, seed=1), 2.0)
    assert vim.score(far, silent).score.min() > vim.score(near, silent).score.max()
    assert torch.equal(near.logits, far.logits)


def test_core_sees_a_residual_of_another_class(anchors, observed):
    def marked(some, turn=0):
        """Features whose unread part points where the class says."""
        features = some.features.clone()
        features[:, 3:] = 5 * torch.eye(3).double()[(some.answers + turn) % 3]
        features[:, 3:] += 0.1 * torch.from_numpy(RNG.normal(size=(len(some), 3)))
        return Observed(some.task, some.examples, some.response._replace(features=features))

    def gone(some):
        features = some.features.clone()
        features[:, 3:] = 5 / 3 + 0.5 * torch.from_numpy(RNG.normal(size=(len(some), 3)))
        return Observed(some.task, some.examples, some.response._replace(features=features))

    core, queries = fitted("core", marked(anchors)), observed(30, seed=1)
    usual, odd = marked(queries), gone(queries)
    gap = core.score(odd, silent).score - core.score(usual, silent).score
    assert float(gap.mean()) > 3
    whole = with_head(anchors, classes=9)
    with pytest.raises(CapabilityError, match="reads all"):
        fitted("core", whole)


def test_self_influence_is_the_length_of_the_gradient_of_the_loss(anchors, fixed_tracer):
    detector = make_detector("self_influence", {})
    object.__setattr__(detector, "tracer", fixed_tracer)
    found = detector.fit(anchors, seed=0, progress=silent).score(anchors, silent).score
    p = torch.sigmoid(anchors.log_odds)
    expected = ((1 - p) ** 2 * anchors.features.float().double().square().sum(1)).log()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_self_influence_refuses_draws(anchors, fixed_tracer):
    class Draws(type(fixed_tracer)):
        def __call__(self, examples, answers, progress):
            traces = super().__call__(examples, answers, progress)
            return type(traces)(traces.values, traces.blocks, centered=True)

    detector = make_detector("self_influence", {})
    object.__setattr__(detector, "tracer", Draws())
    with pytest.raises(ConfigError, match="needs gradients"):
        detector.fit(anchors, seed=0, progress=silent)


def test_coverage_is_the_share_of_units_outside_their_range(digits_world):
    trusted = observe(digits_world.task, digits_world.trusted)
    coverage = fitted("neuron_coverage", trusted)
    assert coverage.score(trusted, silent).score.tolist() == [0.0] * len(trusted)
    some = observe(digits_world.task, Subset(digits_world.clean, np.arange(50)))
    usual = coverage.score(some, silent).score
    assert 0 < float(usual.mean()) < 0.1
    wide = fitted("neuron_coverage", trusted, margin=0.5).score(some, silent).score
    assert float(wide.mean()) < float(usual.mean())

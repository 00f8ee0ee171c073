"""Ours is the published sampler, step for step, given the same noise and the same minibatches.

Optional, because it makes an environment with devinterp 1.3.2 (some hundred megabytes):
`ANOMECH_OPTIONAL=1 pytest tests/tracing/test_published_sampler.py`.
"""

import os

import numpy as np
import pytest
import torch
from published_network import small

from anomech.data.digits import load_digits
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, train
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tracing.rmsprop_sgld import RmspropSgld

STEPS, BATCH, DROPPED = 40, 64, 5
# Float32 sums in another order. Parameters move by about 3e-3 a step and were found to differ by
# 1.2e-7 at most in 40 steps, running squares by 9e-8, buffers by 7e-7 and losses by 1.5e-6 nats.
PARAMETERS = {"rtol": 1e-6, "atol": 5e-7}
SQUARES = {"rtol": 1e-4, "atol": 5e-7}
BUFFERS = {"rtol": 1e-5, "atol": 2e-6}
LOSSES = {"rtol": 1e-5, "atol": 5e-6}

pytestmark = pytest.mark.skipif(
    not os.environ.get("ANOMECH_OPTIONAL"),
    reason="makes an environment with devinterp 1.3.2; set ANOMECH_OPTIONAL=1",
)


@pytest.fixture(scope="module")
def sides(examples_of):
    """The published chain's record, our chain, and our trace source."""
    from published_environment import run_chain, weights

    images, labels = load_digits()
    labels = labels.astype(np.int64)
    recipe = Recipe(epochs=3, batch=50, peak=0.1, augment="none")
    model = train(small(), images[:600], labels[:600], recipe, seed=0)
    model = model.to(memory_format=torch.contiguous_format)
    task = ImageClassifier(model)
    trusted = examples_of(images[600:800], labels[600:800])
    tracer = RmspropSgld(draws=STEPS - DROPPED, burn_in=DROPPED, minibatch=BATCH, least=0)
    answers = task.respond({}, trusted.values).answers
    source = tracer.fit(task, trusted, answers, seed=3, progress=silent)
    chain, arrays = source.draws, weights(model)
    for step, indices in zip(range(STEPS), chain._minibatches(0), strict=False):
        arrays[f"batch/{step}"] = indices
        for name, noise in chain._noise(0, step).items():
            arrays[f"noise/{step}/{name}"] = noise.numpy()
    inputs = examples_of(images[800:1000])
    own = task.respond({}, inputs.values).answers
    arrays |= {
        "sampling_images": trusted.values,
        "sampling_labels": trusted.labels,
        "evaluated_images": inputs.values,
        "own_labels": own.numpy(),
    }
    network = os.path.abspath(small.__code__.co_filename)
    settings = {
        "draws": STEPS, "batch": BATCH, "record": True,
        "network_file": network, "network": "small", "network_options": {},
    }  # fmt: skip
    theirs = run_chain(settings, arrays)
    return theirs, chain, source.observe(inputs, own, silent).numpy()


def test_parameters_running_squares_and_buffers_agree_at_every_step(sides):
    theirs, chain, _ = sides
    sizes = [len(indices) for indices, _ in zip(chain._minibatches(0), range(5), strict=False)]
    assert sizes == [64, 64, 64, 8, 64]  # the last one of an epoch is short on both sides
    states = list(chain.states(0))
    assert len(states) == STEPS
    for step, (state, buffers) in enumerate(states):
        for name, parameter in state.parameters.items():
            expected = theirs[f"parameter/{step}/{name}"]
            np.testing.assert_allclose(parameter, expected, **PARAMETERS, err_msg=name)
            expected = theirs[f"square/{step}/{name}"]
            np.testing.assert_allclose(state.squares[name], expected, **SQUARES, err_msg=name)
        for name, buffer in buffers.items():
            expected = theirs[f"buffer/{step}/{name}"]
            np.testing.assert_allclose(buffer, expected, **BUFFERS, err_msg=name)


def test_a_parameter_without_a_gradient_stays_put_on_both_sides(sides):
    theirs, chain, _ = sides
    start = chain.task.watched["unused.weight"].numpy()
    last, _ = list(chain.states(0))[-1]
    assert np.array_equal(theirs[f"parameter/{STEPS - 1}/unused.weight"], start)
    assert np.array_equal(last.parameters["unused.weight"], start)


def test_evaluated_losses_agree_and_the_first_draws_are_dropped(sides):
    theirs, _, ours = sides
    kept = theirs["losses"][DROPPED:].T
    assert ours.shape == kept.shape
    np.testing.assert_allclose(ours, kept, **LOSSES)
    assert np.abs(np.diff(kept, axis=1)).max() > 100 * LOSSES["atol"]  # agreement says something

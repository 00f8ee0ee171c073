"""Networks with a head, random everywhere, and the gradient tracer fitted to them."""

import numpy as np
import torch
from torch import nn
from toy_networks import Head

from anomech.kernel.types import silent
from anomech.tracing._parts import joined
from anomech.tracing.gradient import Gradient

COUNT = 7


def conv(*args, **options):
    return lambda: nn.Conv2d(*args, **options)


NORMAL, SEQUENCE, IMAGE, SIGNAL = (6,), (4, 6), (4, 7, 8), (4, 9)
TOKENS = "tokens"


def make(build, shape, arrays, seed=0):
    """A network with a head, random everywhere, and its inputs."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        body = build()
        if shape == TOKENS:
            values = np.random.default_rng(seed).integers(0, 9, (COUNT, 4))
        else:
            values = arrays(COUNT, *shape, seed=seed)
        width = body.eval()(torch.from_numpy(values)).flatten(1).shape[1]
        model = Head(body, width).eval()
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape)
                tensor.data.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)
        for parameter in model.parameters():
            parameter.data.mul_(0.3)
    return model, values


def fit(model, values, array_task, examples_of, *, seed=0, watch="all", batch=256, **options):
    task = array_task(model, watch, batch)
    examples = examples_of(values)
    answers = task.respond({}, values).answers
    source = Gradient(**options).fit(task, examples, answers, seed=seed, progress=silent)
    return source, source(examples, answers, silent), answers


def assert_exact(model, values, fitted, true_gradients):
    source, traces, answers = fitted
    truth = joined(true_gradients(model, values, answers), source.parts)
    assert truth.abs().max() > 0
    assert traces.values.dtype == torch.float32
    assert not traces.centered
    torch.testing.assert_close(
        traces.values, truth, rtol=1e-4, atol=2e-6 * float(truth.abs().max())
    )

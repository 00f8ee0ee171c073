"""A task for any network of arrays, and the slow, obviously right gradient."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest
import torch
from torch.func import functional_call

from anomech.kernel.types import Response
from anomech.roles.task import Layers, Logits
from anomech.tasks._watching import watched_parameters


@dataclass(frozen=True)
class ArrayTask:
    """A network of arrays to logits."""

    model: torch.nn.Module
    watch: str = "all"
    batch: int = 256
    kind = "toy"
    provides: frozenset = field(default=frozenset({Layers, Logits}), init=False)

    @cached_property
    def watched(self):
        last = [name for name, _ in self.model.named_parameters() if name.startswith("head.")]
        return watched_parameters(self.model, self.watch, last)

    def layers(self):
        tensors = {tensor.data_ptr() for tensor in self.watched.values()}
        return {
            name: module
            for name, module in self.model.named_modules()
            if not name or any(p.data_ptr() in tensors for p in module.parameters(recurse=False))
        }

    def precise(self):
        return self

    def passes(self, examples):
        yield np.arange(len(examples))

    def respond(self, overlay, batch, answers=None):
        full = {name: p.detach() for name, p in self.model.named_parameters()} | dict(overlay)
        logits = functional_call(self.model, full, (torch.from_numpy(batch),)).double()
        answers = logits.argmax(1) if answers is None else answers
        log_p = logits.log_softmax(1).gather(1, answers[:, None])[:, 0]
        return Response(answers, log_p - torch.log(-torch.expm1(log_p)), -log_p, logits.detach())

    def groups(self, answers):
        return answers

    def agrees(self, answers, labels):
        return answers == torch.from_numpy(labels)

    def words(self, answers):
        return [str(answer) for answer in answers.tolist()]

    def label_words(self, labels):
        return [str(label) for label in labels]


@pytest.fixture(scope="session")
def array_task():
    return ArrayTask


@pytest.fixture(scope="session")
def true_gradients():
    """Per-example gradients of the log-odds by a loop, `[examples, entries]` by name."""

    def loop(model, values, answers):
        rows = {name: [] for name, _ in model.named_parameters()}
        for value, answer in zip(values, answers.tolist(), strict=True):
            leaves = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
            logits = functional_call(model, leaves, (torch.from_numpy(value[None]),))[0].double()
            others = [logit for place, logit in enumerate(logits) if place != answer]
            (logits[answer] - torch.stack(others).logsumexp(0)).backward()
            for name, leaf in leaves.items():
                grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                rows[name].append(grad.flatten().float())
        return {name: torch.stack(each) for name, each in rows.items()}

    return loop


@pytest.fixture(scope="session")
def arrays():
    """Seeded normal arrays."""

    def make(*shape, seed=0, scale=1.0):
        return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)

    return make

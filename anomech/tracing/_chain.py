"""Driving a chain of parameter states over minibatches of trusted examples."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.randomness import key, numpy_generator, torch_generator
from anomech.kernel.types import Engine, Examples, Overlay, Progress
from anomech.roles.task import Task, Training, able
from anomech.tracing._draws import DrawSource
from anomech.tracing._health import checked
from anomech.tracing._observing import Observable

Normalization = Literal["frozen", "tracked"]
Tensors = dict[str, Tensor]
State = Any
Init = Callable[[Mapping[str, Tensor]], State]
Step = Callable[[State, Tensors, Tensors], State]
"""(state, gradients of the mean loss, standard normal noise) to the next state.

A parameter without a gradient took no part in the loss and stays where it is, as published.
"""


class ChainOptions(Protocol):
    """Options every chain tracer has; see `anomech.tracing.sgld` for what they mean."""

    @property
    def draws(self) -> int: ...
    @property
    def burn_in(self) -> int: ...
    @property
    def every(self) -> int: ...
    @property
    def chains(self) -> int: ...
    @property
    def minibatch(self) -> int: ...
    @property
    def normalization(self) -> Normalization: ...
    @property
    def observable(self) -> Observable: ...
    @property
    def together(self) -> int: ...
    @property
    def least(self) -> float: ...


def fit_chain(
    options: ChainOptions,
    init: Init,
    step: Step,
    task: Task,
    trusted: Examples,
    answers: Tensor,
    *,
    seed: int,
    progress: Progress,
    engine: Engine | None,
) -> "DrawSource[Chain]":
    """Fix a chain with this first state and transition, and check its draws."""
    chain = Chain(
        task=task,
        trusted=trusted,
        answers=answers,
        init=init,
        step=step,
        draws=options.draws,
        burn_in=options.burn_in,
        every=options.every,
        batch=options.minibatch,
        normalization=options.normalization,
        seed=seed,
    )
    source = DrawSource(
        task,
        chain,
        options.draws,
        options.chains,
        options.observable,
        together=options.together,
        engine=engine,
    )
    return checked(source, trusted, answers, options.least, progress)


@dataclass(frozen=True)
class Chain:
    """Independent chains, each replayed from its seed at every call.

    Attributes:
        task: the model.
        trusted: examples with labels; their true labels drive the chain.
        answers: the model's own answers, used where there are no labels.
        init: the first state from the trained parameters; `state.parameters` is its position.
        step: the transition.
        draws: kept draws, after `burn_in` steps.
        burn_in: steps before the first kept draw.
        every: steps a kept draw.
        batch: examples a step.
        normalization: "tracked" runs in training mode with batch statistics and lets the running
            statistics drift along the chain, as the published sampler does; "frozen" keeps them.
        seed: of batches and noise.
    """

    task: Task
    trusted: Examples
    answers: Tensor
    init: Init
    step: Step
    draws: int
    burn_in: int
    every: int
    batch: int
    normalization: Normalization
    seed: int

    def __call__(self, chain: int) -> Iterator[Overlay]:
        """The kept draws of one chain."""
        for step, (state, buffers) in enumerate(self.states(chain)):
            done = step + 1 - self.burn_in
            if done > 0 and done % self.every == 0:
                yield {**state.parameters, **buffers}

    def states(self, chain: int) -> Iterator[tuple[State, Tensors]]:
        """State and buffers after every step of one chain, dropped ones too."""
        state, buffers = self.init(self.task.watched), dict[str, Tensor]()
        batches = self._minibatches(chain)
        for step in range(self.burn_in + self.draws * self.every):
            with _seeded(key(self.seed, "chain", chain, "model", step)):
                gradients, buffers = self._gradients(state.parameters, buffers, next(batches))
            state = self.step(state, gradients, self._noise(chain, step))
            yield state, buffers

    def _noise(self, chain: int, step: int) -> Tensors:
        generator = torch_generator(self.seed, "chain", chain, "noise", step)
        return {
            name: torch.randn(tensor.shape, generator=generator).to(tensor.device)
            for name, tensor in self.task.watched.items()
        }

    def _minibatches(self, chain: int) -> Iterator[np.ndarray]:
        """Indices; every epoch is reshuffled and its last batch may be short."""
        epoch = 0
        while True:
            rng = numpy_generator(self.seed, "chain", chain, "epoch", epoch)
            order = rng.permutation(len(self.trusted))
            for start in range(0, len(order), self.batch):
                yield order[start : start + self.batch]
            epoch += 1

    def _gradients(
        self, parameters: Tensors, buffers: Tensors, indices: np.ndarray
    ) -> tuple[Tensors, Tensors]:
        """Gradients of the mean minibatch loss, and the buffers after it."""
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        raw, targets = self.trusted.load(indices), self._targets(indices)
        with torch.enable_grad():
            if self.normalization == "tracked":
                trained = able(self.task, Training)
                losses, buffers = trained.training_losses({**leaves, **buffers}, raw, targets)
            else:
                losses = self.task.respond(leaves, raw, targets).losses
            found = torch.autograd.grad(losses.mean(), list(leaves.values()), allow_unused=True)
        gradients = {
            name: grad for name, grad in zip(leaves, found, strict=True) if grad is not None
        }
        return gradients, {name: buffer.detach() for name, buffer in buffers.items()}

    def _targets(self, indices: np.ndarray) -> Tensor:
        labels = self.trusted.labels
        if labels is not None and Training in self.task.provides:
            return able(self.task, Training).targets(labels[indices])
        return self.answers[torch.from_numpy(indices)]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Dropout in training mode asks global generators; they are seeded here and given back."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield

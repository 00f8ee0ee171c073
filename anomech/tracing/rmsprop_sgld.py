"""Langevin draws preconditioned by running gradient magnitudes: the published sampler.

Belief: as `sgld`, with a step that suits each parameter's gradient scale.
Equation: `V <- alpha V + (1 - alpha) g^2` (no bias correction), `G = 1 / (sqrt(V) + eta)`,
`theta <- theta - (eps/2) G [nbeta g + gamma (theta - theta0)] + sqrt(eps G) xi`. The same G acts on
the loss, the pull and the noise; the curvature term of G is left out, as published.
Source: Lyons Keenan, Leckie, Erfani (2026) with devinterp 1.3.2. The defaults are the published
settings: 2,000 draws of which 250 are dropped, step 1e-6, gamma 1e4, nbeta 100, batch 256, tracked
batch-normalization statistics.
Needs: "statistics", because normalization is tracked.
Cost: one forward pass a draw (1,750 an example), and 2,000 training steps.
Fails when: draws mix slowly: by linear theory a loss takes 39 steps to forget at these settings, so
1,750 draws are worth about 45 independent ones. The effective number is measured in every run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Engine, Examples, Progress
from anomech.roles.black_box import Movable
from anomech.roles.task import Ability, Task, Training
from anomech.tracing._chain import Chain, Normalization, Tensors, fit_chain
from anomech.tracing._draws import DrawSource
from anomech.tracing._observing import Observable


@options
class RmspropSgld:
    """The published sampler as a tracer."""

    draws: int = option(1750, "kept draws a chain", unit="draws", ge=2)
    burn_in: int = option(250, "steps before the first kept draw", unit="steps", ge=0)
    every: int = option(1, "steps a kept draw", unit="steps", ge=1)
    chains: int = option(1, "independent chains", unit="chains", ge=1)
    step_size: float = option(1e-6, "step size epsilon", gt=0)
    localization: float = option(1e4, "pull gamma to the trained point", ge=0)
    nbeta: float = option(100.0, "inverse temperature times data size", ge=0)
    smoothing: float = option(0.99, "alpha of the running squared gradient", ge=0, le=1)
    floor: float = option(0.1, "eta, added to the root of the running square", gt=0)
    minibatch: int = option(256, "examples a step of the chain", unit="examples", ge=1)
    normalization: Normalization = option("tracked", "batch normalization: frozen or tracked")
    observable: Observable = option("loss", "what is recorded: the loss or the log-odds")
    together: int = option(1, "draws in one pass; pays for tiny models and few examples", ge=1)
    least: float = option(20.0, "effective draws below which runs are inconclusive", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Weights to move, and training statistics if they are tracked."""
        return frozenset({Movable, Training} if self.normalization == "tracked" else {Movable})

    def fit(
        self,
        task: Task,
        trusted: Examples,
        answers: Tensor,
        *,
        seed: int,
        progress: Progress,
        engine: Engine | None = None,
    ) -> DrawSource[Chain]:
        """Fix the chain and check it."""
        transition = partial(
            step,
            step_size=self.step_size,
            localization=self.localization,
            nbeta=self.nbeta,
            smoothing=self.smoothing,
            floor=self.floor,
        )
        return fit_chain(
            self,
            init,
            transition,
            task,
            trusted,
            answers,
            seed=seed,
            progress=progress,
            engine=engine,
        )


@dataclass(frozen=True)
class State:
    """Position, trained point and running squared gradient."""

    parameters: Tensors
    start: Tensors
    squares: Tensors


def init(parameters: Mapping[str, Tensor]) -> State:
    """At the trained point, with no gradient seen."""
    zeros = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
    return State(dict(parameters), dict(parameters), zeros)


def step(
    state: State,
    gradients: Tensors,
    noise: Tensors,
    *,
    step_size: float,
    localization: float,
    nbeta: float,
    smoothing: float,
    floor: float,
) -> State:
    """One transition; the equation in this file's docstring."""
    moved, squares = dict(state.parameters), dict(state.squares)
    for name, gradient in gradients.items():
        theta = state.parameters[name]
        squares[name] = smoothing * state.squares[name] + (1 - smoothing) * gradient**2
        scale = 1 / (squares[name].sqrt() + floor)
        drift = nbeta * gradient + localization * (theta - state.start[name])
        moved[name] = (
            theta - step_size / 2 * scale * drift + (step_size * scale).sqrt() * noise[name]
        )
    return State(moved, state.start, squares)

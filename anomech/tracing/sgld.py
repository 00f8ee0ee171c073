"""Stochastic-gradient Langevin draws around the trained point.

Belief: the posterior near the trained point, not only a Gaussian ball, says how losses couple.
Equation: `theta <- theta - (eps/2) [nbeta g + gamma (theta - theta0)] + sqrt(eps) xi`, g the
gradient of the mean minibatch loss; stationary law `exp(-nbeta L - gamma/2 |theta - theta0|^2)`.
Source: Welling, Teh 2011; localization after Lau et al. 2023.
Needs: "statistics" if normalization is tracked.
Cost: one forward pass a kept draw, and one training step a step of the chain.
Fails when: the step is so large that it diverges, or so small that draws are alike; both make the
run inconclusive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Engine, Examples, Progress
from anomech.roles.black_box import Movable
from anomech.roles.task import Ability, Task, Training
from anomech.tracing._chain import Chain, Normalization, Tensors, fit_chain
from anomech.tracing._draws import DrawSource
from anomech.tracing._observing import Observable


@options
class Sgld:
    """Langevin draws tracer."""

    draws: int = option(200, "kept draws a chain", unit="draws", ge=2)
    burn_in: int = option(50, "steps before the first kept draw", unit="steps", ge=0)
    every: int = option(5, "steps a kept draw", unit="steps", ge=1)
    chains: int = option(1, "independent chains", unit="chains", ge=1)
    step_size: float = option(1e-6, "step size epsilon", gt=0)
    localization: float = option(1e5, "pull gamma to the trained point", ge=0)
    nbeta: float = option(100.0, "inverse temperature times data size", ge=0)
    minibatch: int = option(256, "examples a step of the chain", unit="examples", ge=1)
    normalization: Normalization = option("frozen", "batch normalization: frozen or tracked")
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
    """Position and the trained point."""

    parameters: Tensors
    start: Tensors


def init(parameters: Mapping[str, Tensor]) -> State:
    """At the trained point."""
    return State(dict(parameters), dict(parameters))


def step(
    state: State,
    gradients: Tensors,
    noise: Tensors,
    *,
    step_size: float,
    localization: float,
    nbeta: float,
) -> State:
    """One transition; the equation in this file's docstring."""
    moved = dict(state.parameters)
    for name, gradient in gradients.items():
        theta = state.parameters[name]
        drift = nbeta * gradient + localization * (theta - state.start[name])
        moved[name] = theta - step_size / 2 * drift + step_size**0.5 * noise[name]
    return State(moved, state.start)

"""Independent Gaussian draws of the parameters around the trained point.

Belief: the published sampler is, at its settings, close to a Gaussian around the checkpoint;
drawing from that Gaussian directly gives independent draws without a chain.
Equation: `theta_k = theta + sigma xi_k`; antithetic pairs use `+xi` and `-xi`, which takes the
curvature out of the odd part of a trace. The covariance of two traces tends to `sigma^2 g_i' g_j`.
With sigma 0.0101, the loss as the observable, no pairs and lagged normalization the draws have the
law of the published chain where its loss is flat: running statistics are an average over the past
of the chain, so each of four trusted batches is seen at a state 1, 4, 9 or 20 steps back.
Source: the localized Gaussian limit of the local Bayesian influence function (Kreer et al. 2025).
Needs: "statistics" unless normalization is frozen.
Cost: one forward pass a draw, and 512 of trusted examples a draw unless normalization is frozen.
Fails when: sigma is so large that the model no longer answers by the same mechanism; by default it
is chosen so that trusted losses rise by a small, given amount.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.roles.black_box import Movable
from anomech.roles.task import Ability, Task, Training, able
from anomech.tracing._draws import DrawSource
from anomech.tracing._health import checked
from anomech.tracing._observing import Observable

Noise = dict[str, Tensor]

PULL = 0.95
"""Of its distance from the trained point a state of the published chain keeps this much in a step
(one minus half the step size times the localization, over the floor of 0.1)."""
LAGS = (1, 4, 9, 20)
"""Steps back that stand for the average over the past which running statistics are: middles of the
quarters of its weights, which fall by a tenth a step."""
TRIALS = 4
PROBES = 256
BISECTIONS = 12


@options
class Gaussian:
    """Gaussian draws tracer."""

    draws: int = option(400, "parameter draws", unit="draws", ge=2)
    sigma: float = option(0.0, "standard deviation of the noise; 0 chooses it by `rise`", ge=0)
    rise: float = option(0.004, "wanted mean rise of trusted losses", unit="nats", gt=0)
    antithetic: bool = option(True, "draw in pairs of opposite noise")
    normalization: Literal["frozen", "recalibrated", "lagged"] = option(
        "frozen",
        "batch normalization keeps its statistics, takes those of trusted batches at the draw, or "
        "those that drift behind the published chain",
    )
    observable: Observable = option("log_odds", "what is recorded: the log-odds or the loss")
    together: int = option(1, "draws in one pass; pays for tiny models and few examples", ge=1)
    least: float = option(20.0, "effective draws below which runs are inconclusive", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Weights to move; training statistics, unless those of the model are kept."""
        return frozenset({Movable, Training} if self.normalization != "frozen" else {Movable})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "DrawSource[GaussianDraws]":
        """Choose sigma, if it is not given, and check the draws."""
        batches = _batches(trusted) if self.normalization != "frozen" else ()
        lagged = self.normalization == "lagged"
        noise = GaussianDraws(task, self.sigma, self.draws, self.antithetic, seed, batches, lagged)
        if self.sigma == 0:
            probe = np.arange(min(PROBES, len(trusted)))
            raw, own = trusted.load(probe), answers[: len(probe)]
            noise = replace(noise, sigma=_choose_sigma(noise, raw, own, self.rise))
        source = DrawSource(task, noise, self.draws, 1, self.observable, together=self.together)
        return checked(source, trusted, answers, self.least, progress)


@dataclass(frozen=True)
class GaussianDraws:
    """The draws, by address: nothing is stored, and every call gives the same ones."""

    task: Task
    sigma: float
    count: int
    antithetic: bool
    seed: int
    batches: tuple[Any, ...]
    lagged: bool = False

    def __call__(self, chain: int) -> Iterator[Overlay]:
        """All draws; there is one chain, because there is no order among them."""
        signs = (1, -1) if self.antithetic else (1,)
        for draw in range(0, self.count, len(signs)):
            address = draw // len(signs)
            noise = self._noise("gaussian", address)
            past = self._past(noise, address) if self.lagged else ()
            for sign in signs[: self.count - draw]:
                overlay = self._overlay(noise, sign)
                places = tuple(self._overlay(each, sign) for each in past) or (overlay,)
                yield overlay | recalibrated(self.task, places, self.batches)

    def _noise(self, *address: str | int) -> Noise:
        """Standard normal, of one generator: making a generator costs more than a small tensor."""
        generator = torch_generator(self.seed, *address)
        return {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            for name, tensor in self.task.watched.items()
        }

    def _past(self, noise: Noise, address: int) -> tuple[Noise, ...]:
        """Where the published chain would have been some steps before, one state a batch."""
        states, before = list[Noise](), 0
        for lag in LAGS:
            kept = PULL ** (lag - before)
            fresh = self._noise("past", address, lag)
            noise = {
                name: kept * noise[name] + (1 - kept**2) ** 0.5 * fresh[name] for name in noise
            }
            states.append(noise)
            before = lag
        return tuple(states)

    def _overlay(self, noise: Noise, sign: int) -> dict[str, Tensor]:
        return {
            name: tensor + sign * self.sigma * noise[name].to(tensor.device, tensor.dtype)
            for name, tensor in self.task.watched.items()
        }


def recalibrated(
    task: Task, places: tuple[Overlay, ...], batches: tuple[Any, ...]
) -> dict[str, Tensor]:
    """Normalization buffers averaged over trusted batches; empty without batches.

    Args:
        task: the model.
        places: parameters for each batch, or one for all of them.
        batches: of trusted examples.
    """
    if not batches:
        return {}
    trained = able(task, Training)
    at = places if len(places) == len(batches) else places * len(batches)
    found = [trained.batch_statistics(*each) for each in zip(at, batches, strict=True)]
    return {
        name: torch.stack([each[name] for each in found]).float().mean(dim=0).to(tensor.dtype)
        for name, tensor in found[0].items()
    }


def _batches(trusted: Examples) -> tuple[Any, ...]:
    """Four batches of 128, enough for stable channel statistics; a smaller set is gone round."""
    size = min(128, len(trusted))
    places = np.arange(len(LAGS) * size) % len(trusted)
    return tuple(trusted.load(part) for part in np.split(places, len(LAGS)))


@torch.no_grad()
def _choose_sigma(noise: GaussianDraws, raw: Any, answers: Tensor, rise: float) -> float:
    """The noise at which mean losses rise by `rise`, by bisection of its logarithm."""
    task = noise.task
    base = task.respond({}, raw, answers).losses.double().mean()
    low, high = -16.0, 0.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        trial = replace(noise, sigma=2.0**middle)
        losses = [
            task.respond(overlay, raw, answers).losses.double().mean()
            for overlay in islice(trial(0), TRIALS)
        ]
        mean_rise = float(torch.stack(losses).mean() - base)
        low, high = (low, middle) if not mean_rise < rise else (middle, high)
    return float(2.0**low)

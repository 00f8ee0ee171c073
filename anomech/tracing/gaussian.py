"""Independent Gaussian draws of the parameters around the trained point.

Belief: the published sampler is, at its settings, close to a Gaussian around the checkpoint;
drawing from that Gaussian directly gives independent draws without a chain.
Equation: `theta_k = theta + sigma xi_k`; antithetic pairs use `+xi` and `-xi`, which takes the
curvature out of the odd part of a trace. The covariance of two traces tends to `sigma^2 g_i' g_j`.
Source: the localized Gaussian limit of the local Bayesian influence function (Kreer et al. 2025).
Needs: "statistics" if normalization is recalibrated.
Cost: one forward pass a draw.
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

from anomech.config import option, options
from anomech.errors import CapabilityError
from anomech.randomness import torch_generator
from anomech.tracing._draws import DrawSource
from anomech.tracing._health import checked
from anomech.tracing._observing import Observable
from anomech.types import Examples, Overlay, Progress, Task, TrainableTask

TRIALS = 4
BISECTIONS = 12


@options
class Gaussian:
    """Gaussian draws tracer."""

    draws: int = option(400, "parameter draws", unit="draws", ge=2)
    sigma: float = option(0.0, "standard deviation of the noise; 0 chooses it by `rise`", ge=0)
    rise: float = option(0.004, "wanted mean rise of trusted losses", unit="nats", gt=0)
    antithetic: bool = option(True, "draw in pairs of opposite noise")
    normalization: Literal["frozen", "recalibrated"] = option(
        "frozen", "batch normalization keeps its statistics, or takes those of trusted batches"
    )
    observable: Observable = option("log_odds", "what is recorded: the log-odds or the loss")
    together: int = option(1, "draws in one pass; pays for tiny models and few examples", ge=1)
    least: float = option(20.0, "effective draws below which runs are inconclusive", ge=0)

    @property
    def needs(self) -> frozenset[str]:
        """Training statistics, if they are recalibrated."""
        return frozenset({"statistics"} if self.normalization == "recalibrated" else ())

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> DrawSource:
        """Choose sigma, if it is not given, and check the draws."""
        batches = _batches(trusted) if self.normalization == "recalibrated" else ()
        noise = _Noise(task, self.sigma, self.draws, self.antithetic, seed, batches)
        if self.sigma == 0:
            probe = np.arange(min(task.batch, len(trusted)))
            raw, own = trusted.load(probe), answers[: len(probe)]
            noise = replace(noise, sigma=_choose_sigma(noise, raw, own, self.rise))
        source = DrawSource(task, noise, self.draws, 1, self.observable, together=self.together)
        return checked(source, trusted, answers, self.least, progress)


@dataclass(frozen=True)
class _Noise:
    """The draws, by address: nothing is stored, and every call gives the same ones."""

    task: Task
    sigma: float
    count: int
    antithetic: bool
    seed: int
    batches: tuple[Any, ...]

    def __call__(self, chain: int) -> Iterator[Overlay]:
        """All draws; there is one chain, because there is no order among them."""
        signs = (1, -1) if self.antithetic else (1,)
        for draw in range(0, self.count, len(signs)):
            noise = self._noise(draw // len(signs))
            for sign in signs[: self.count - draw]:
                yield self._overlay(noise, sign)

    def _noise(self, address: int) -> dict[str, Tensor]:
        """Standard normal, of one generator: making a generator costs more than a small tensor."""
        generator = torch_generator(self.seed, "gaussian", address)
        return {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            for name, tensor in self.task.watched.items()
        }

    def _overlay(self, noise: dict[str, Tensor], sign: int) -> Overlay:
        overlay: dict[str, Tensor] = {
            name: tensor + sign * self.sigma * noise[name].to(tensor.device, tensor.dtype)
            for name, tensor in self.task.watched.items()
        }
        return overlay | recalibrated(self.task, overlay, self.batches)


def recalibrated(task: Task, overlay: Overlay, batches: tuple[Any, ...]) -> dict[str, Tensor]:
    """Normalization buffers averaged over trusted batches; empty without batches."""
    if not batches:
        return {}
    if not isinstance(task, TrainableTask):
        raise CapabilityError("recalibration needs a task with training statistics.")
    found = [task.batch_statistics(overlay, batch) for batch in batches]
    return {
        name: torch.stack([each[name] for each in found]).float().mean(dim=0).to(tensor.dtype)
        for name, tensor in found[0].items()
    }


def _batches(trusted: Examples) -> tuple[Any, ...]:
    """Up to four batches of 128, enough for stable channel statistics."""
    size = min(128, len(trusted))
    count = min(4, len(trusted) // size)
    return tuple(trusted.load(np.arange(i * size, (i + 1) * size)) for i in range(count))


@torch.no_grad()
def _choose_sigma(noise: _Noise, raw: Any, answers: Tensor, rise: float) -> float:
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

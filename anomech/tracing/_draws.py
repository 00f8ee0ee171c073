"""Traces from parameter draws: the observable of each example at each draw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from anomech.data.passes import passes
from anomech.data.subset import Subset
from anomech.types import Examples, Health, Overlay, Progress, Response, Task, Traces

Observable = Literal["loss", "log_odds"]
Draws = Callable[[], Iterator[Overlay]]
"""Gives the same draws each time it is called, so that any example can be traced later."""

PROBES = 64
MOST_RISE = 1.0
"""Mean rise of trusted losses, in nats, beyond which draws have left the model's neighborhood."""


@dataclass(frozen=True)
class DrawSource:
    """Fixed parameter draws, for any examples.

    Attributes:
        task: whose answers are judged.
        draws: the draws, replayed for every call.
        count: draws a chain.
        chains: chains, one after the other; each is centered on its own, because a shift between
            chains would count as coupling.
        observable: what is recorded at each draw.
        health: of the draws.
    """

    task: Task
    draws: Draws
    count: int
    chains: int
    observable: Observable
    health: Health = Health()

    @property
    def evaluations(self) -> float:
        """One forward pass a draw."""
        return float(self.count * self.chains)

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, draws]`."""
        values = self.observe(examples, answers, progress)
        levels = values.mean(dim=1)
        chained = values.unflatten(1, (self.chains, self.count))
        centered = chained - chained.mean(dim=2, keepdim=True) + levels[:, None, None]
        every = slice(0, values.shape[1])
        return Traces(centered.flatten(1), {"draws": every}, centered=True, levels=levels)

    @torch.no_grad()
    def observe(
        self,
        examples: Examples,
        answers: Tensor,
        progress: Progress,
        visit: Callable[[Overlay], None] = lambda overlay: None,
    ) -> Tensor:
        """The observable `[examples, draws]`, nats; `visit` sees every draw."""
        total = self.count * self.chains
        values = torch.empty(len(examples), total)
        for draw, overlay in enumerate(self.draws()):
            visit(overlay)
            for places in passes(self.task, examples):
                index = torch.from_numpy(places)
                response = self.task.respond(overlay, examples.load(places), answers[index])
                values[index, draw] = observed(response, self.observable).cpu().float()
            progress("tracing", draw + 1, total)
        return values


def observed(response: Response, observable: Observable) -> Tensor:
    """Loss, or minus the log-odds, `[batch]`; both grow as the answer loses support."""
    return response.losses if observable == "loss" else -response.log_odds


def check_health(
    source: DrawSource, trusted: Examples, answers: Tensor, least: float, progress: Progress
) -> Health:
    """Judge draws by how a few trusted examples respond.

    Args:
        source: the draws.
        trusted: examples; at most 64 are used.
        answers: the model's own on them.
        least: effective draws below which verdicts are inconclusive.
        progress: told the stage "tracing".
    """
    probe = Subset(trusted, np.arange(min(PROBES, len(trusted))))
    own, distances = answers[: len(probe)], list[float]()
    values = source.observe(
        probe, own, progress, lambda overlay: distances.append(_distance(source.task, overlay))
    )
    if not bool(torch.isfinite(values).all()):
        bad = int((~torch.isfinite(values)).any(dim=0).sum())
        return Health(
            (
                f"{bad} of {values.shape[1]} draws gave losses that are not finite; lower "
                "the step size or strengthen the localization.",
            )
        )
    moving = values.std(dim=1) > 0
    if not bool(moving.any()):
        return Health(("no draw changed any loss; enlarge the noise.",))
    chains = values[moving].unflatten(1, (source.chains, source.count))
    effective = sum(effective_draws(chains[:, chain]) for chain in range(source.chains))
    with torch.no_grad():
        base = observed(
            source.task.respond({}, probe.load(np.arange(len(probe))), own), source.observable
        )
    rise = float(values.mean() - base.mean())
    facts = {
        "effective draws": effective,
        "mean rise of trusted losses, nats": rise,
        "largest distance from the trained point, relative": max(distances),
    }
    if rise > MOST_RISE:
        return Health(
            (
                f"trusted losses rise by {rise:.2g} nats over the draws, which then no longer tell "
                "of this model; lower the noise or the step size, or strengthen the localization.",
            ),
            facts,
        )
    if effective < least:
        return Health(
            (
                f"the draws are worth only {effective:.0f} independent ones, fewer than "
                f"{least:.0f}; take more draws.",
            ),
            facts,
        )
    return Health((), facts)


def _distance(task: Task, overlay: Overlay) -> float:
    """Distance of a draw from the trained point over the length of the latter."""
    moved = sum(
        float(((overlay[name] - tensor).double() ** 2).sum())
        for name, tensor in task.watched.items()
    )
    length = sum(float((tensor.double() ** 2).sum()) for tensor in task.watched.values())
    return float((moved / max(length, 1e-30)) ** 0.5)


def effective_draws(values: Tensor) -> float:
    """Effective sample size of one chain, averaged over examples `[examples, draws]`.

    Autocorrelations are summed in pairs while a pair's sum is positive (Geyer 1992).
    """
    centered = (values - values.mean(dim=1, keepdim=True)).double()
    draws = values.shape[1]
    spectrum = torch.fft.rfft(centered, n=2 * draws).abs() ** 2
    autocovariance = torch.fft.irfft(spectrum)[:, :draws].mean(dim=0)
    correlation = autocovariance / autocovariance[0].clamp_min(1e-30)
    even = draws // 2 * 2
    pairs = correlation[:even].reshape(-1, 2).sum(dim=1)
    negative = torch.nonzero(pairs <= 0)
    stop = int(negative[0]) if len(negative) else len(pairs)
    time = max(float(2 * pairs[:stop].sum() - 1), 1 / draws)
    return min(draws / time, float(draws))

"""Whether draws can be trusted, judged by how a few trusted examples respond."""

from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.types import Examples, Progress
from anomech.roles.tracer import Health
from anomech.tracing._draws import D, DrawSource
from anomech.tracing._observing import can_stack, observed

PROBES = 64
MOST_RISE = 1.0
"""Mean rise of trusted losses, in nats, beyond which draws have left the model's neighborhood."""


def checked(
    source: DrawSource[D], trusted: Examples, answers: Tensor, least: float, progress: Progress
) -> DrawSource[D]:
    """The source with its health; draws go one by one if the model cannot take several at once.

    Args:
        source: the draws.
        trusted: examples; at most 64 are used.
        answers: the model's own on them.
        least: effective draws below which verdicts are inconclusive.
        progress: told the stage "tracing".
    """
    probe = Subset(trusted, np.arange(min(PROBES, len(trusted))))
    own = answers[: len(probe)]
    if source.together > 1:
        with torch.no_grad():
            first = list(islice(source.draws(0), 2))
            raw = probe.load(np.arange(len(probe)))
            if not can_stack(source.task, first, raw, own, source.observable):
                source = replace(source, together=1)
        told = {"draws in one pass": float(source.together)}
    else:
        told = {}
    health = check_health(source, probe, own, least, progress)
    facts = told | dict(health.facts or {})
    return replace(source, health=Health(health.problems, facts or None))


def check_health(
    source: DrawSource[D], probe: Examples, own: Tensor, least: float, progress: Progress
) -> Health:
    """Judge draws by how these examples respond; see `checked`."""
    values, farthest = source.survey(probe, own, progress, measure=True)
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
        "largest distance from the trained point, relative": farthest,
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

"""Traces place by place, for detectors that judge each of them and take the mean."""

from collections.abc import Mapping

import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from anomech.attribution.density import require_finite
from anomech.attribution.profile import rows_of
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.tracer import TraceSource


def by_place(
    observed: ObservedExamples, source: TraceSource, progress: Progress
) -> dict[str, Tensor]:
    """Rows of every place or part, float64 `[examples, features]` each."""
    traces = observed.traced(source, progress)
    rows = rows_of(traces).double()
    return {name: rows[:, place] for name, place in traces.blocks.items()}


def mean_over_places(scores: Mapping[str, Tensor]) -> Tensor:
    """One score `[examples]` from those of every place."""
    return torch.stack(list(scores.values())).mean(dim=0)


def ledoit_wolf(centered: Tensor) -> Tensor:
    """Precision `[d, d]` of centered rows `[n, d]`.

    Raises:
        Inconclusive: rows are not finite.
    """
    fitted = LedoitWolf(assume_centered=True).fit(require_finite(centered).numpy())
    return torch.from_numpy(fitted.precision_)


def quadratic(rows: Tensor, matrix: Tensor) -> Tensor:
    """`x' M x` of rows `[n, d]`, `[n]`."""
    return ((rows @ matrix) * rows).sum(dim=1)

"""Statistics of examples of which each is judged by one fold of the trusted examples."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.detectors._fold import Fold, Statistics
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.tracer import TraceSource

NEAREST = 10
"""Trusted examples that are kept as evidence, at the most."""


def look(
    folds: tuple[Fold, ...],
    judged_by: Tensor,
    observed: ObservedExamples,
    source: TraceSource,
    progress: Progress,
) -> tuple[Statistics, tuple[Tensor, Tensor]]:
    """Statistics of examples, each beside the anchors of the fold that judges it.

    Args:
        folds: what they taught.
        judged_by: number of the fold of each example, int64 `[n]`.
        observed: the examples.
        source: of the traces.
        progress: told about the tracing.

    Returns:
        The statistics but for drops and states, and the largest couplings to anchors with the
        anchors' places among the trusted examples, `[n, k]` each.
    """
    parts: list[Statistics] = []
    evidence: list[tuple[Tensor, Tensor]] = []
    order: list[Tensor] = []
    count = min(NEAREST, *(len(each.places) for each in folds))
    for number, each in enumerate(folds):
        mine = torch.nonzero(judged_by == number)[:, 0]
        statistics, coupling = each.look(observed.take(mine.numpy()), source, progress)
        values, nearest = coupling.topk(count, dim=1)
        parts.append(statistics)
        evidence.append((values, each.places[nearest]))
        order.append(mine)
    back = torch.cat(order).argsort()
    couplings, places = (torch.cat(each)[back] for each in zip(*evidence, strict=True))
    joined = [_joined(column, back) for column in zip(*parts, strict=True)]
    return Statistics(*joined), (couplings, places)  # type: ignore[arg-type]


def drops(
    folds: tuple[Fold, ...],
    judged_by: Tensor,
    observed: ObservedExamples,
    which: Sequence[int],
    progress: Progress,
) -> Tensor:
    """Log-odds that examples lose at some twins of the fold that judges each, `[n, which]`.

    Args:
        folds: with their twins.
        judged_by: number of the fold of each example, int64 `[n]`.
        observed: the examples.
        which: places of the twins in a fold.
        progress: told about the passes.
    """
    found = torch.empty(len(observed), len(which), dtype=torch.float64)
    for number, each in enumerate(folds):
        mine = torch.nonzero(judged_by == number)[:, 0]
        if len(mine) and which:
            found[mine] = each.drops(observed.take(mine.numpy()), which, progress)
    return found


def _joined(columns: Sequence[Tensor | None], back: Tensor) -> Tensor | None:
    known = [column for column in columns if column is not None]
    if len(known) < len(columns):
        return None
    return torch.cat(known)[back]

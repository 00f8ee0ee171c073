"""Judging in stages: inputs that few views settle as clear are not looked at any further."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.calibration.conformal import tail_probability
from anomech.calibration.stopping import same_rank, stops_at
from anomech.kernel.types import PAD, Progress
from anomech.observing.observed import Observed
from anomech.roles.detector import Scores, StagedDetector

PValues = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From calibration scores, scores and the groups of the latter to p-values `[examples]`."""


class Staged(NamedTuple):
    """What comes of stages.

    Attributes:
        scores: of all examples; a settled one has the calibration score of its rank and no views.
        settled: p-values of the settled ones, float64 `[examples]`, and NaN for all others.
    """

    scores: Scores
    settled: Tensor


def scored_in_stages(
    fitted: StagedDetector,
    limits: Sequence[float],
    p_values: PValues,
    final: Tensor,
    observed: Observed,
    progress: Progress,
) -> Staged:
    """Score examples, each as far as it must be looked at.

    Args:
        fitted: what scores them.
        limits: of its early stages.
        p_values: as calibration gives them.
        final: calibration scores by all views.
        observed: the examples.
        progress: told about the passes.
    """
    groups, count = observed.groups, len(observed)
    settled = torch.full((count,), torch.nan, dtype=torch.float64)
    ranked = torch.full((count,), torch.nan, dtype=torch.float64)
    stages = fitted.stages

    def settle(stage: int, scores: Tensor, places: np.ndarray) -> Tensor:
        reference = stages[stage].reference
        found = p_values(reference, scores, groups[places])
        done = torch.isfinite(scores) & (found > limits[stage])
        mine = torch.from_numpy(places)[done]
        settled[mine] = found[done]
        ranked[mine] = same_rank(tail_probability(reference, scores[done]), final)
        return done

    scores, places = fitted.score_in_stages(observed, settle, progress)
    return Staged(_spread(scores, torch.from_numpy(places), ranked), settled)


def passes_of(
    fitted: StagedDetector, limits: Sequence[float], p_values: PValues, groups: Tensor
) -> float:
    """Mean forward passes of trusted examples beyond the one that answers each.

    Args:
        fitted: what scores them.
        limits: of its early stages.
        p_values: as calibration gives them.
        groups: of the trusted examples.
    """
    early = [p_values(stage.reference, stage.reference, groups) for stage in fitted.stages]
    costs = [stage.evaluations for stage in fitted.stages] + [fitted.thorough]
    return float(torch.tensor(costs, dtype=torch.float64)[stops_at(early, limits)].mean())


def _spread(scores: Scores, places: Tensor, ranked: Tensor) -> Scores:
    """Scores of some examples as those of all `[examples]`; the rest has `ranked`."""

    def over(values: Tensor, rest: float) -> Tensor:
        result = torch.full((len(ranked), *values.shape[1:]), rest, dtype=values.dtype)
        result[places] = values
        return result

    score = ranked.clone()
    score[places] = scores.score
    return replace(
        scores,
        score=score,
        views={name: over(view, -torch.inf) for name, view in scores.views.items()},
        nearest=None if scores.nearest is None else over(scores.nearest, 0),
        marks=None if scores.marks is None else over(scores.marks, PAD),
        couplings=None if scores.couplings is None else over(scores.couplings, torch.nan),
        explained={name: over(each, torch.nan) for name, each in (scores.explained or {}).items()},
    )

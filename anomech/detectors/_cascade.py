"""The flagship's early stages: what one pass and one twin say, before all is looked at.

Most inputs are so usual to few views that no others would flag them. The last layer and the states
before it cost nothing beyond the answer, a twin one forward pass, the gradient over all layers a
forward and a backward pass. So views are taken in this order, and each stage has a combination of
its own, fitted to held-out trusted examples as that of all views is. Twins come before the gradient
because what they see does not depend on the layers that a mechanism sits in. One pass alone is
blind to some mechanisms on some networks, so it settles nothing unless planted triggers have shown
that it sees them; limits are such that on networks of three kinds no flag was lost (see the
results).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.usual import Context
from anomech.calibration.combining import Combination, fit_combination
from anomech.detectors._between import Distances
from anomech.detectors._fold import Fold, Lesson, Statistics, teach
from anomech.detectors._judges import Judges, fit_judges
from anomech.detectors._statistics import drops, look
from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Settle, Stage
from anomech.roles.tracer import TraceSource
from anomech.tracing.last_layer import LastLayer


@options
class Cascade:
    """Stages that settle an input as clear before every view is looked at."""

    full: bool = option(False, "every view for every input")
    limits: tuple[float, ...] = option(
        (0.2, 0.05),
        "p-value above which one pass, and one twin more, settle an input as clear",
    )


@dataclass(frozen=True)
class Glance:
    """One early stage.

    Attributes:
        twins: places of those that it looks at, in a fold.
        judges: of its views.
        combination: of these.
        reference: scores of trusted examples at it, each by fits to others, float64 `[n]`.
    """

    twins: tuple[int, ...]
    judges: Judges
    combination: Combination
    reference: Tensor

    def score(self, seen: Statistics, lost: Tensor, at: Context) -> Tensor:
        """How anomalous examples are at this stage, float64 `[n]`.

        Args:
            seen: of the last layer, with the states.
            lost: drops at all twins; those that it does not look at may be anything `[n, twins]`.
            at: their contexts.
        """
        views = self.judges.views(_with(seen, lost, self.twins), at)
        return self.combination.score(self.combination.surprises(views))


@dataclass(frozen=True)
class Early:
    """What the early stages have learned.

    Attributes:
        source: of the last layer's traces.
        folds: what the folds of the trusted examples teach about the last layer.
        glances: the stages, from the cheapest to the dearest.
        limits: p-value above which each settles an input as clear.
    """

    source: TraceSource
    folds: tuple[Fold, ...]
    glances: tuple[Glance, ...]
    limits: tuple[float, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """As the detector declares them."""
        return tuple(
            Stage(float(len(glance.twins)), glance.reference, limit, proven=not glance.twins)
            for glance, limit in zip(self.glances, self.limits, strict=True)
        )

    def left_open(
        self,
        folds: tuple[Fold, ...],
        judged_by: Tensor,
        observed: ObservedExamples,
        states: Distances | None,
        settle: Settle,
        progress: Progress,
    ) -> tuple[Tensor, Tensor]:
        """Places of the examples that no stage settles, int64, and their drops at all twins.

        Args:
            folds: with their twins.
            judged_by: number of the fold of each example, int64 `[n]`.
            observed: the examples.
            states: theirs; None if there are none to see.
            settle: says what a stage settles.
            progress: told about the passes.
        """
        seen, _ = look(self.folds, judged_by, observed, self.source, progress)
        if states is not None:
            seen = seen._replace(stray=states.own, apart=states.every)
        lost = torch.zeros(len(observed), len(folds[0].twins), dtype=torch.float64)
        left, known = torch.arange(len(observed)), list[int]()
        for number, glance in enumerate((*self.glances, None)):
            asked = range(lost.shape[1]) if glance is None else glance.twins
            new = [twin for twin in asked if twin not in known]
            some = observed.take(left.numpy())
            found = drops(folds, judged_by[left], some, new, progress)
            lost[left[:, None], torch.tensor(new, dtype=torch.int64)] = found
            known += new
            if glance is not None:
                at = Context(some.groups, some.log_odds, torch.zeros(len(left), dtype=torch.bool))
                score = glance.score(seen.take(left), lost[left], at)
                left = left[~settle(number, score, left.numpy())]
        return left, lost[left]


def fit_early(
    cascade: Cascade,
    lesson: Lesson,
    trusted: ObservedExamples,
    judged_by: Tensor,
    at: Context,
    full: Statistics,
    *,
    seed: int,
    progress: Progress,
) -> Early | None:
    """Fit the early stages; None if all is to be looked at, or the last layer cannot be.

    Args:
        cascade: which.
        lesson: how folds teach.
        trusted: all trusted examples.
        judged_by: the fold that judges each, int64 `[n]`.
        at: their contexts.
        full: their statistics by all layers, of which drops and states count here.
        seed: of the projection.
        progress: told about the passes.
    """
    tracer = LastLayer()
    if cascade.full or not cascade.limits or not tracer.needs <= trusted.task.provides:
        return None
    try:
        source = trusted.source(tracer, seed=seed, progress=progress)
    except CapabilityError:  # no linear layer gives the logits
        return None
    traces = trusted.traced(source, progress)
    members = [torch.nonzero(judged_by != number)[:, 0] for number in judged_by.unique().tolist()]
    folds = tuple(teach(lesson, trusted, at.right, each, traces)[0] for each in members)
    seen, _ = look(folds, judged_by, trusted, source, progress)
    seen, lost = seen._replace(stray=full.stray, apart=full.apart), full.drops
    plans = _plans(0 if lost is None else lost.shape[1])[: len(cascade.limits)]
    if lost is None:
        lost = torch.empty(len(trusted), 0, dtype=torch.float64)
    glances = tuple(_glance(twins, seen, lost, at) for twins in plans)
    return Early(source, folds, glances, cascade.limits[: len(glances)])


def _plans(count: int) -> list[tuple[int, ...]]:
    """Twins of each stage: none, then that in the middle of the ladder."""
    return [(), (count // 2,)] if count else [()]


def _glance(twins: tuple[int, ...], seen: Statistics, lost: Tensor, at: Context) -> Glance:
    judges, views = fit_judges(_with(seen, lost, twins), at)
    combination = fit_combination(views)
    return Glance(twins, judges, combination, combination.score(combination.surprises(views)))


def _with(seen: Statistics, lost: Tensor, twins: Sequence[int]) -> Statistics:
    return seen._replace(drops=lost[:, list(twins)] if twins else None)

"""What functional attribution has learned of trusted examples, and how it scores others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.profile import STATISTICS, unexplained
from anomech.attribution.usual import Context
from anomech.calibration.combining import Combination
from anomech.detectors import _ancestry as ancestry
from anomech.detectors._between import Between, Distances
from anomech.detectors._cascade import Early
from anomech.detectors._causes import CAUSES
from anomech.detectors._dealing import Folds
from anomech.detectors._fold import Fold, Statistics, some
from anomech.detectors._judges import Judges
from anomech.detectors._prompts import Prompts
from anomech.detectors._sights import Sights, lacking
from anomech.detectors._statistics import drops, look
from anomech.detectors._tracer import beyond_the_answer
from anomech.kernel.types import Progress
from anomech.roles.detector import Cause, ObservedExamples, Scores, Settle, Stage
from anomech.roles.task import Logits
from anomech.roles.tracer import Health, ReadingSource, Traces, TraceSource


@dataclass(frozen=True)
class FittedFunctionalAttribution:
    """What was learned from the trusted examples.

    Attributes:
        source: the movement of the parameters.
        dealt: which fold judges what.
        folds: what each fold taught.
        between: what they taught about states between the layers; None if there are none to see.
        prompts: what they taught about prompts; None if there are none to see.
        judges: of each view of the statistics.
        sights: of each view of what the tracer saw on its way.
        combination: of the views.
        early: stages that settle usual inputs; None if every input takes every view.
        lessons: forward passes of one example that fitting took (a backward pass counts as two).
        kinds: groups that enough trusted answers share; all others are one. None: of a classifier.
        evidence: nearest anchors to name.
        left_out: anchors dropped, with the reason.
        unseen: views that this task does not give, in words.
    """

    source: TraceSource
    dealt: Folds
    folds: tuple[Fold, ...]
    between: Between | None
    prompts: Prompts | None
    judges: Judges
    sights: Sights
    combination: Combination
    early: Early | None
    lessons: float
    kinds: Tensor | None
    evidence: int
    left_out: Mapping[str, str]
    unseen: tuple[str, ...]

    @property
    def health(self) -> Health:
        """That of the traces, and how many twins are looked at."""
        health = self.source.health
        facts = {**(health.facts or {}), "twins": float(len(self.folds[0].twins))}
        return Health(
            health.problems, {**facts, **{f"without {name}": 1.0 for name in self.unseen}}
        )

    @property
    def first(self) -> TraceSource | None:
        """Of the states, which every stage looks at."""
        return self.between.source if self.between else None

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What its views stand for."""
        return tuple(CAUSES[name] for name in self.combination.tails)

    @property
    def evaluations(self) -> float:
        """That of the traces, less the forward pass that gives the answers, of states and twins."""
        # A source that reads responses leaves it to the states to answer.
        between = None if isinstance(self.source, ReadingSource) else self.between
        states = between.source.evaluations if between else 0.0
        return beyond_the_answer(self.source) + states + self._others

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The early ones."""
        return self.early.stages if self.early else ()

    @property
    def thorough(self) -> float:
        """All twins, and the traces with a forward pass of their own; states come with answers."""
        return self.source.evaluations + self._others

    @property
    def _others(self) -> float:
        """Forward passes at other weights: of the twins, and of a model that it came from."""
        compared = ancestry.COST if "beyond" in self.sights.high else 0.0
        return len(self.folds[0].twins) + compared

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Scores, views, nearest trusted examples and explained fractions."""
        observed = observed if self.kinds is None else observed.regrouped(self.kinds)
        judged_by = self.dealt.of(observed.examples.digests())
        every = range(len(self.folds[0].twins))
        lost = drops(self.folds, judged_by, observed, every, progress)
        states = self._states(judged_by, observed, progress)
        return self._judged(observed, judged_by, lost, states, progress)

    def score_in_stages(
        self, observed: ObservedExamples, settle: Settle, progress: Progress
    ) -> tuple[Scores, np.ndarray]:
        """See `anomech.roles.detector.StagedDetector`."""
        assert self.early is not None
        observed = observed if self.kinds is None else observed.regrouped(self.kinds)
        judged_by = self.dealt.of(observed.examples.digests())
        states = self._states(judged_by, observed, progress)
        given = (self.folds, judged_by, observed, states)
        places, lost = self.early.left_open(*given, settle, progress)
        rest = observed.apart(places.numpy())
        states = None if states is None else states.take(places)
        return self._judged(rest, judged_by[places], lost, states, progress), places.numpy()

    def _states(
        self, judged_by: Tensor, observed: ObservedExamples, progress: Progress
    ) -> Distances | None:
        return self.between.distances(judged_by, observed, progress) if self.between else None

    def _judged(
        self,
        observed: ObservedExamples,
        judged_by: Tensor,
        lost: Tensor,
        states: Distances | None,
        progress: Progress,
    ) -> Scores:
        """Scores by all views, of examples with these drops `[n, twins]` and states."""
        statistics, couplings = look(self.folds, judged_by, observed, self.source, progress)
        if lost.shape[1]:
            statistics = statistics._replace(drops=lost)
        statistics = with_states(statistics, states)
        nobody = torch.zeros(len(observed), dtype=torch.bool)
        context = Context(observed.groups, observed.log_odds, nobody)
        traces = observed.traced(self.source, progress)
        seen = seen_on_the_way(observed, traces, statistics, progress)
        read = None
        if self.prompts is not None:
            read = self.prompts.distances(judged_by, seen, observed.groups)
        seen = {**seen, **states_as_sights(states, read)}
        views = {**self.judges.views(statistics, context), **self.sights.views(seen, context)}
        return self.scores(views, statistics, couplings, seen.get("tokens"))

    def scores(
        self,
        views: Mapping[str, Tensor],
        statistics: Statistics,
        nearest: tuple[Tensor, Tensor],
        marks: Tensor | None,
    ) -> Scores:
        """The combination of views, with the evidence `[examples, k]` for them."""
        surprises = self.combination.surprises(views)
        couplings, places = (each[:, : self.evidence] for each in nearest)
        blocks = statistics.profile.unflatten(1, (-1, len(STATISTICS)))
        own = blocks[:, :, STATISTICS.index("explained_own")].clamp(0, 1)
        return Scores(
            score=self.combination.score(surprises),
            views=surprises,
            nearest=places,
            couplings=couplings.double().clamp(-1, 1),
            marks=marks,
            explained={part: own[:, place] for place, part in enumerate(self.folds[0].span.parts)},
        )

    def unexplained(self, observed: ObservedExamples, progress: Progress) -> Tensor:
        """The part of each response that the anchors do not explain `[examples, features]`."""
        judged_by = self.dealt.of(observed.examples.digests())
        traces = observed.traced(self.source, progress)
        result = torch.zeros(len(observed), self.folds[0].span.rows.shape[1])
        for number, each in enumerate(self.folds):
            mine = torch.nonzero(judged_by == number)[:, 0]
            if len(mine):
                result[mine] = unexplained(each.span, some(traces, mine)).float()
        return result


def with_states(statistics: Statistics, states: Distances | None) -> Statistics:
    """The statistics with those of states; of generated answers they are sights instead."""
    if states is None or states.lone is not None:
        return statistics
    return statistics._replace(stray=states.own, apart=states.every)


def states_as_sights(states: Distances | None, prompts: Distances | None) -> dict[str, Tensor]:
    """How far states are where answers are generated, by name of the sight."""
    if states is None or states.lone is None:
        return {}
    seen = {"stray": states.own, "apart": states.every, "lone": states.lone}
    if prompts is None:
        return seen
    apart = torch.cat([states.every, prompts.every], dim=1)
    return {**seen, "apart": apart, "prompt": prompts.own}


def seen_on_the_way(
    observed: ObservedExamples, traces: Traces, statistics: Statistics, progress: Progress
) -> Mapping[str, Tensor]:
    """What the tracer saw on its way, and what is asked of generated answers beside it."""
    seen = dict(traces.sights)
    if Logits not in observed.task.provides:
        seen["lacking"] = lacking(statistics.profile)
    if ancestry.known(observed):
        seen["beyond"] = ancestry.beyond_the_base(observed, progress)
    return seen

"""Functional attribution: how far the trusted set explains the mechanism behind an answer.

Belief: an answer that comes from a planted mechanism moves with the parameters unlike anything
trusted. Which statistic of that shows it depends on the mechanism and on the network, so there are
several views, one-sided ones beside two-sided ones, and a strong one must survive beside others
that are noise.
Equation: trusted examples are dealt out to two folds. Each is judged by the anchors and the twins
of the other fold, and its statistics are standardized at its own answer and confidence
(`anomech.attribution.usual`), by fits to other examples. Views (`anomech.attribution.views`):
too little support by the anchors' responses; a foreign profile, the sum over parts of the network
of `-log P(Mahalanobis distance)`; the drop of the answer's log-odds at twins relearned on trusted
data, one-sided and two-sided; states between the layers far from those of the own
answer, and from all; features far from every class; features far from the own answer's and little
energy, at any confidence; an implausible confidence. Each becomes a surprise with an exponential
tail, and the score is `log sum exp` over them and their sum, which weighs as much as all of them.
Source: Lyons Keenan, Leckie, Erfani (2026) for attribution failure as the signal; the gradient
form, the explained fraction, the profile, the twins and their combination are this project's.
Needs: what its tracer needs; logits and features are used where the task gives them. Views that the
task cannot give are named among the facts of its health.
Cost: that of the tracer (default: one forward and one backward pass over activations), one forward
pass for the states and one a rung of the twins. Fit: `6 steps batch` forward passes a rung.
Fails when: the same mechanism is in the trusted set; triggered answers move like trusted ones both
at once and on relearning.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.profile import STATISTICS, unexplained
from anomech.attribution.usual import Context
from anomech.calibration.combining import EQUAL, Combination, fit_combination
from anomech.detectors import _ancestry as ancestry
from anomech.detectors._between import Between, Distances, fit_between
from anomech.detectors._cascade import Cascade, Early, fit_early
from anomech.detectors._causes import CAUSES
from anomech.detectors._dealing import FOLDS, Folds, deal
from anomech.detectors._fold import Fold, Lesson, Statistics, some, teach
from anomech.detectors._judges import Judges, fit_judges
from anomech.detectors._ladder import Climb, Ladder, climb
from anomech.detectors._sights import WEIGHING, Sights, fit_sights, lacking
from anomech.detectors._statistics import drops, look
from anomech.detectors._tracer import beyond_the_answer
from anomech.kernel.config import option, options
from anomech.kernel.errors import Inconclusive
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import Cause, ObservedExamples, Scores, Settle, Stage
from anomech.roles.task import Ability, Features, Logits
from anomech.roles.tracer import Health, ReadingSource, Tracer, Traces, TraceSource

COMMON = 5
"""Trusted answers that must share a group for it to be judged by itself, where there are no
classes; the others are one group: what a generation begins with varies."""


@options
class FunctionalAttribution:
    """The flagship: attribution at once and on relearning, in several views."""

    tracer: Tracer = chosen("tracer", "gradient", "how parameters move: a tracer and its options")
    twins: Ladder = option(Ladder(), "copies relearned on trusted data")
    cascade: Cascade = option(Cascade(), "stages that settle usual inputs at little cost")
    most_anchors: int = option(2000, "anchors of a fold at the most", unit="examples", ge=2)
    ridge: float = option(0.1, "lambda of the explained fraction, for unit responses", gt=0)
    outlier: float = option(
        5.0,
        "anchors this far below their class's support are dropped",
        unit="robust standard deviations",
        gt=0,
    )
    evidence: int = option(3, "nearest anchors given as evidence", unit="anchors", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task: those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedFunctionalAttribution":
        """As `fit_held_out`, with examples that are all rightly answered."""
        right = torch.ones(len(anchors), dtype=torch.bool)
        return self.fit_held_out(anchors, right, seed=seed, progress=progress)[0]

    def fit_held_out(
        self, trusted: ObservedExamples, right: Tensor, *, seed: int, progress: Progress
    ) -> tuple["FittedFunctionalAttribution", Scores]:
        """See `anomech.roles.detector.HeldOutDetector`.

        Raises:
            Inconclusive: traces are not finite, or a fold has fewer than two anchors.
        """
        common = None if Logits in trusted.task.provides else common_kinds(trusted.groups)
        trusted = trusted if common is None else trusted.regrouped(common)
        source = trusted.source(self.tracer, seed=seed, progress=progress)
        traces = trusted.traced(source, progress)
        if not bool(torch.isfinite(traces.values).all()):
            why = next(iter(source.health.problems), "choose another tracer or other options.")
            raise Inconclusive(f"traces of trusted examples are not finite: {why}")
        digests, labels = trusted.examples.digests(), trusted.examples.labels
        kinds = labels if labels is not None and labels.ndim == 1 else trusted.groups.numpy()
        dealt = deal(digests, kinds, seed=seed)
        judges_of = dealt.of(digests)
        lesson = Lesson(
            ridge=self.ridge,
            outlier=self.outlier,
            most_anchors=self.most_anchors,
        )
        folds, left_out = list[Fold](), dict[str, str]()
        for number in range(FOLDS):
            members = torch.nonzero(judges_of != number)[:, 0]
            taught, dropped = teach(lesson, trusted, right, members, traces)
            folds.append(taught)
            left_out |= dropped
        statistics, couplings = look(tuple(folds), judges_of, trusted, source, progress)
        climbed, rungs = None, self.twins.rungs if common is None else self.twins.generations
        if rungs:
            ladder = replace(self.twins, rungs=rungs)
            climbed = climb(ladder, trusted, right, judges_of, seed=seed, progress=progress)
        if climbed is not None:
            folds = [
                replace(fold, twins=twins) for fold, twins in zip(folds, climbed.twins, strict=True)
            ]
            statistics = statistics._replace(drops=climbed.drops)
        teachers = [fold.places for fold in folds]
        between = fit_between(trusted, teachers, seed=seed, progress=progress)
        if between is not None:
            states = between.distances(judges_of, trusted, progress)
            statistics = statistics._replace(stray=states.own, apart=states.every)
        context = Context(trusted.groups, trusted.log_odds, right)
        given = (trusted, judges_of, context, statistics)
        early = fit_early(self.cascade, lesson, *given, seed=seed, progress=progress)
        judges, views = fit_judges(statistics, context)
        sights, seen = fit_sights(_seen(trusted, traces, statistics, progress), context)
        views = {**views, **seen}
        combination = fit_combination(views, EQUAL if common is None else WEIGHING)
        fitted = FittedFunctionalAttribution(
            source=source,
            dealt=dealt,
            folds=tuple(folds),
            between=between,
            judges=judges,
            sights=sights,
            combination=combination,
            early=early,
            lessons=len(trusted) * source.evaluations + (climbed.passes if climbed else 0.0),
            kinds=common,
            evidence=self.evidence,
            left_out=left_out,
            unseen=_unseen(trusted, rungs, climbed, between),
        )
        marks = traces.sights.get("tokens")
        return fitted, fitted.scores(views, statistics, couplings, marks)


@dataclass(frozen=True)
class FittedFunctionalAttribution:
    """What was learned from the trusted examples.

    Attributes:
        source: the movement of the parameters.
        dealt: which fold judges what.
        folds: what each fold taught.
        between: what they taught about states between the layers; None if there are none to see.
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
        if states is not None:
            statistics = statistics._replace(stray=states.own, apart=states.every)
        nobody = torch.zeros(len(observed), dtype=torch.bool)
        context = Context(observed.groups, observed.log_odds, nobody)
        seen = _seen(observed, observed.traced(self.source, progress), statistics, progress)
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


def common_kinds(groups: Tensor, least: int = COMMON) -> Tensor:
    """Groups that at least so many have, ascending int64."""
    kinds, counts = groups.unique(return_counts=True)
    return kinds[counts >= least]


def _seen(
    observed: ObservedExamples, traces: Traces, statistics: Statistics, progress: Progress
) -> Mapping[str, Tensor]:
    """What the tracer saw on its way, and what is asked of generated answers beside it."""
    seen = dict(traces.sights)
    if Logits not in observed.task.provides:
        seen["lacking"] = lacking(statistics.profile)
    if ancestry.known(observed):
        seen["beyond"] = ancestry.beyond_the_base(observed, progress)
    return seen


def _unseen(
    trusted: ObservedExamples, rungs: int, climbed: Climb | None, between: Between | None
) -> tuple[str, ...]:
    """What the task does not give, in words for the health of the fit."""
    provides = trusted.task.provides
    lacking = [] if {Features, Logits} <= provides else ["views of features"]
    if rungs and climbed is None:
        lacking.append("relearning")
    if Logits in provides and between is None:
        lacking.append("views of states")
    return tuple(lacking)

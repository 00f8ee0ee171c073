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
Of generated answers there are views along the sequence, and panels of views in place of the sum
(`anomech.detectors._sights`).
Source: Lyons Keenan, Leckie, Erfani (2026) for attribution failure as the signal; the gradient
form, the explained fraction, the profile, the twins and their combination are this project's.
Needs: what its tracer needs; logits and features are used where the task gives them. Views that the
task cannot give are named among the facts of its health.
Cost: that of the tracer (default: one forward and one backward pass over activations), one forward
pass for the states and one a rung of the twins. Fit: `6 steps batch` forward passes a rung.
Fails when: the same mechanism is in the trusted set; triggered answers move like trusted ones both
at once and on relearning.
"""

from dataclasses import replace

import torch
from torch import Tensor

from anomech.attribution.usual import Context
from anomech.calibration.combining import EQUAL, fit_combination
from anomech.detectors._attributed import (
    FittedFunctionalAttribution,
    seen_on_the_way,
    states_as_sights,
    with_states,
)
from anomech.detectors._between import Between, fit_between
from anomech.detectors._cascade import Cascade, fit_early
from anomech.detectors._dealing import FOLDS, Folds, deal
from anomech.detectors._fold import Fold, Lesson, teach
from anomech.detectors._judges import fit_judges
from anomech.detectors._ladder import Climb, Ladder, climb
from anomech.detectors._prompts import fit_prompts
from anomech.detectors._sights import WEIGHING, fit_sights
from anomech.detectors._statistics import look
from anomech.kernel.config import option, options
from anomech.kernel.errors import Inconclusive
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Features, Logits
from anomech.roles.tracer import Tracer, Traces, TraceSource

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
    ) -> FittedFunctionalAttribution:
        """As `fit_held_out`, with examples that are all rightly answered."""
        right = torch.ones(len(anchors), dtype=torch.bool)
        return self.fit_held_out(anchors, right, seed=seed, progress=progress)[0]

    def fit_held_out(
        self, trusted: ObservedExamples, right: Tensor, *, seed: int, progress: Progress
    ) -> tuple[FittedFunctionalAttribution, Scores]:
        """See `anomech.roles.detector.HeldOutDetector`.

        Raises:
            Inconclusive: traces are not finite, or a fold has fewer than two anchors.
        """
        common = None if Logits in trusted.task.provides else common_kinds(trusted.groups)
        trusted = trusted if common is None else trusted.regrouped(common)
        source = trusted.source(self.tracer, seed=seed, progress=progress)
        traces = _finite(trusted.traced(source, progress), source)
        lesson = Lesson(self.ridge, self.outlier, self.most_anchors)
        dealt, judged_by = _dealt(trusted, seed)
        folds, left_out = _taught(lesson, trusted, right, judged_by, traces)
        statistics, couplings = look(folds, judged_by, trusted, source, progress)
        rungs = self.twins.rungs if common is None else self.twins.generations
        climbed = None
        if rungs:
            ladder = replace(self.twins, rungs=rungs)
            climbed = climb(ladder, trusted, right, judged_by, seed=seed, progress=progress)
        if climbed is not None:
            twins = climbed.twins
            folds = tuple(replace(f, twins=own) for f, own in zip(folds, twins, strict=True))
            statistics = statistics._replace(drops=climbed.drops)
        teachers = [fold.places for fold in folds]
        crowded = common is not None
        between = fit_between(trusted, teachers, crowded=crowded, seed=seed, progress=progress)
        states = between.distances(judged_by, trusted, progress) if between else None
        statistics = with_states(statistics, states)
        context = Context(trusted.groups, trusted.log_odds, right)
        given = (trusted, judged_by, context, statistics)
        early = fit_early(self.cascade, lesson, *given, seed=seed, progress=progress)
        judges, views = fit_judges(statistics, context)
        seen = seen_on_the_way(trusted, traces, statistics, progress)
        prompts = fit_prompts(seen, trusted.groups, teachers) if crowded else None
        read = prompts.distances(judged_by, seen, trusted.groups) if prompts else None
        sights, more = fit_sights({**seen, **states_as_sights(states, read)}, context)
        views = {**views, **more}
        fitted = FittedFunctionalAttribution(
            source=source,
            dealt=dealt,
            folds=folds,
            between=between,
            prompts=prompts,
            judges=judges,
            sights=sights,
            combination=fit_combination(views, EQUAL if common is None else WEIGHING),
            early=early,
            lessons=len(trusted) * source.evaluations + (climbed.passes if climbed else 0.0),
            kinds=common,
            evidence=self.evidence,
            left_out=left_out,
            unseen=_unseen(trusted, rungs, climbed, between),
        )
        return fitted, fitted.scores(views, statistics, couplings, traces.sights.get("tokens"))


def _finite(traces: Traces, source: TraceSource) -> Traces:
    """The traces.

    Raises:
        Inconclusive: they are not finite.
    """
    if not bool(torch.isfinite(traces.values).all()):
        why = next(iter(source.health.problems), "choose another tracer or other options.")
        raise Inconclusive(f"traces of trusted examples are not finite: {why}")
    return traces


def _dealt(trusted: ObservedExamples, seed: int) -> tuple[Folds, Tensor]:
    """Trusted examples dealt out to folds, and the number of each one's `[n]`."""
    digests, labels = trusted.examples.digests(), trusted.examples.labels
    kinds = labels if labels is not None and labels.ndim == 1 else trusted.groups.numpy()
    dealt = deal(digests, kinds, seed=seed)
    return dealt, dealt.of(digests)


def _taught(
    lesson: Lesson, trusted: ObservedExamples, right: Tensor, judged_by: Tensor, traces: Traces
) -> tuple[tuple[Fold, ...], dict[str, str]]:
    """What each fold teaches, all but what it judges, and what are no anchors, with the reason."""
    folds, left_out = list[Fold](), dict[str, str]()
    for number in range(FOLDS):
        members = torch.nonzero(judged_by != number)[:, 0]
        fold, dropped = teach(lesson, trusted, right, members, traces)
        folds.append(fold)
        left_out |= dropped
    return tuple(folds), left_out


def common_kinds(groups: Tensor, least: int = COMMON) -> Tensor:
    """Groups that at least so many have, ascending int64."""
    kinds, counts = groups.unique(return_counts=True)
    return kinds[counts >= least]


def _unseen(
    trusted: ObservedExamples, rungs: int, climbed: Climb | None, between: Between | None
) -> tuple[str, ...]:
    """What the task does not give, in words for the health of the fit."""
    provides = trusted.task.provides
    lacking = [] if {Features, Logits} <= provides else ["views of features"]
    if rungs and climbed is None:
        lacking.append("relearning")
    if between is None:
        lacking.append("views of states")
    return tuple(lacking)

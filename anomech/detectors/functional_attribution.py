"""Functional attribution: how far the trusted set explains the mechanism behind an answer.

Belief: an answer that comes from a planted mechanism moves with the parameters unlike anything
trusted. No single statistic of that is enough (a patch is under-explained, a warp over-explained by
the whole network and under-explained by its head), so each part of the network gives a small
profile of statistics, judged against trusted examples of the same answer and confidence.
Equation: for each part, `s_part = -log P(Mahalanobis distance of its profile is at least this)`,
summed over parts (Fisher's combination). Each profile holds the statistics of
`anomech.attribution.profile`, the log-odds and the energy. A shift of the inputs shows at any
confidence, so a second view sums the surprise at the Mahalanobis distance of the features to the
mean of their answer and at the missing energy. Each view becomes `-log P(a trusted example is at
least this high)`, `m` of the mechanism and `u` of the input, and the score is
`max(u, 5 + 2 (m - 5))` nats. A foreign mechanism is far out or it is none, so `m` counts double
beyond one in 150 and for less below it, where it would only add the scatter of honest answers to
`u`. Both share one budget, and the score is calibrated afterwards.
Source: Lyons Keenan, Leckie, Erfani (2026) for attribution failure as the signal; the gradient
form, the explained fraction, the profile and the calibration are this project's.
Needs: what its tracer needs; logits and features are used where the task gives them.
Cost: that of the tracer (default: one forward and one backward pass over activations).
Fails when: the same mechanism is in the trusted set, or an attacker trained the triggered responses
to align with clean ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from anomech.attribution.density import (
    Centers,
    Density,
    Usual,
    crossfit_density,
    fit_centers,
    fit_usual,
    one_sided,
)
from anomech.attribution.profile import (
    STATISTICS,
    WHOLE,
    Anchors,
    fit_anchors,
    profile,
    profile_of_anchors,
    unexplained,
)
from anomech.calibration.tails import SmoothTail, fit_smooth_tail
from anomech.detectors._causes import CONFIDENCE, OTHER_CLASS, UNEXPLAINED, UNFAMILIAR
from anomech.detectors._familiarity import Familiarity, fit_familiarity
from anomech.detectors._tracer import beyond_the_answer
from anomech.kernel.config import option, options
from anomech.kernel.detector import Cause, ObservedExamples, Scores
from anomech.kernel.errors import Inconclusive
from anomech.kernel.plugins import chosen
from anomech.kernel.task import Ability, Logits
from anomech.kernel.tracer import Health, Tracer, Traces, TraceSource
from anomech.kernel.types import Progress

PIVOT = 5.0
SLOPE = 2.0
"""Where the surprises at mechanism and input weigh the same, in nats, and how much faster the
former's weight grows."""

SMALL_CLASS = 20
SUPPORT = ("own", "nearest_ten", "explained", "explained_own")


@options
class FunctionalAttribution:
    """The flagship: a profile of attribution statistics, part by part."""

    tracer: Tracer = chosen("tracer", "gradient", "how parameters move")
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
        """Trace the anchors, drop those that no other anchor explains, fit the profiles."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        traces = anchors.traced(source, progress)
        if not bool(torch.isfinite(traces.values).all()):
            why = next(iter(source.health.problems), "choose another tracer or other options.")
            raise Inconclusive(f"traces of trusted examples are not finite: {why}")
        first = fit_anchors(traces, anchors.groups, self.ridge)
        kept = _explained_by_others(profile_of_anchors(first), first, self.outlier)
        places = torch.nonzero(kept)[:, 0]
        if bool(kept.all()):
            span = first
        else:
            span = fit_anchors(_rows(traces, places), anchors.groups[places], self.ridge)
        fitted, total = self._fitted(
            source, span, anchors.take(places.numpy()), places, _dropped(anchors, kept)
        )
        if len(odd := torch.nonzero(~kept)[:, 0]):
            # Without those that were dropped for being odd, the tail would end where they begin.
            strange = anchors.take(odd.numpy())
            statistics = profile(span, _rows(traces, odd), strange.groups).statistics
            total = torch.cat([total, fitted.total(strange, statistics)[0]])
        return replace(fitted, tail=fit_smooth_tail(total))

    def _fitted(
        self,
        source: TraceSource,
        span: Anchors,
        anchors: ObservedExamples,
        places: Tensor,
        left_out: Mapping[str, str],
    ) -> tuple["FittedFunctionalAttribution", Tensor]:
        """Densities of the kept anchors' profiles, each anchor judged by all others.

        Returns:
            The fit, and the sum of each kept anchor's surprises when it was held out.
        """
        statistics, context = profile_of_anchors(span), _context(anchors)
        groups, log_odds = span.groups, anchors.log_odds
        densities, total = {}, torch.zeros(len(groups), dtype=torch.float64)
        for part, block in _blocks(span, statistics).items():
            values = torch.cat([block, context], dim=1)
            densities[part], surprise = crossfit_density(values, groups, log_odds)
            total += surprise
        familiarity = None
        if (fitted := fit_familiarity(anchors)) is not None:
            familiarity, unusual = fitted
            total += unusual
        fit = FittedFunctionalAttribution(
            source=source,
            span=span,
            places=places,
            densities=densities,
            tail=fit_smooth_tail(total),
            usual=fit_usual(statistics, groups, log_odds),
            confidence=fit_centers(log_odds[:, None], groups),
            familiarity=familiarity,
            evidence=self.evidence,
            left_out=left_out,
        )
        return fit, total


@dataclass(frozen=True)
class FittedFunctionalAttribution:
    """What was learned from the anchors.

    Attributes:
        source: the movement of the parameters.
        span: the kept anchors' responses.
        places: of the kept anchors among those given.
        densities: of each part's profile.
        tail: of the sum of their surprises, over all anchors that were given.
        usual: what all statistics usually are, for the views.
        confidence: what log-odds usually are, by answer.
        familiarity: nearness of the last layer's input, or None if the task gives none.
        evidence: nearest anchors to name.
        left_out: anchors dropped, with the reason.
    """

    source: TraceSource
    span: Anchors
    places: Tensor
    densities: Mapping[str, Density]
    tail: SmoothTail
    usual: Usual
    confidence: Centers
    familiarity: Familiarity | None
    evidence: int
    left_out: Mapping[str, str]

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What its views stand for."""
        return UNEXPLAINED, OTHER_CLASS, UNFAMILIAR, CONFIDENCE

    @property
    def evaluations(self) -> float:
        """That of the traces, less the forward pass that gives the answers as well."""
        return beyond_the_answer(self.source)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Scores, views, nearest anchors and explained fractions."""
        traces = observed.traced(self.source, progress)
        statistics, coupling = profile(self.span, traces, observed.groups)
        total, unfamiliar = self.total(observed, statistics)
        score = self.tail.surprise(total)
        if unfamiliar is not None:
            score = torch.maximum(PIVOT + SLOPE * (score - PIVOT), unfamiliar)
        couplings, nearest = coupling.topk(min(self.evidence, coupling.shape[1]), dim=1)
        return Scores(
            score=score,
            views=self._views(statistics, observed, unfamiliar),
            nearest=self.places[nearest],
            couplings=couplings.double().clamp(-1, 1),
            explained={
                part: block[:, STATISTICS.index("explained_own")].clamp(0, 1)
                for part, block in _blocks(self.span, statistics).items()
            },
        )

    def total(self, observed: ObservedExamples, statistics: Tensor) -> tuple[Tensor, Tensor | None]:
        """The sum of the surprises of all parts `[n]`, and how unfamiliar the input is, if known.

        Args:
            observed: any examples.
            statistics: their profiles `[n, parts * statistics]`.
        """
        context = _context(observed)
        surprises = [
            self.densities[part].surprise(
                torch.cat([block, context], dim=1), observed.groups, observed.log_odds
            )
            for part, block in _blocks(self.span, statistics).items()
        ]
        if self.familiarity is None:
            return torch.stack(surprises).sum(dim=0), None
        unusual, unfamiliar = self.familiarity.surprises(observed)
        return torch.stack([*surprises, unusual]).sum(dim=0), unfamiliar

    def unexplained(self, observed: ObservedExamples, progress: Progress) -> Tensor:
        """The part of each response that the anchors do not explain `[examples, features]`."""
        return unexplained(self.span, observed.traced(self.source, progress))

    def _views(
        self, statistics: Tensor, observed: ObservedExamples, unfamiliar: Tensor | None
    ) -> dict[str, Tensor]:
        """Surprises, one for each cause, from standardized statistics averaged over parts."""
        groups, log_odds = observed.groups, observed.log_odds
        values = self.usual.standardized(statistics, groups, log_odds)
        blocks = values.unflatten(1, (-1, len(STATISTICS)))

        def over_parts(*names: str) -> Tensor:
            return blocks[:, :, [STATISTICS.index(name) for name in names]].mean(dim=(1, 2))

        if unfamiliar is None:
            unfamiliar = one_sided(over_parts("size"))
        surprise = self.confidence.standardized(log_odds[:, None], groups)[:, 0]
        return {
            UNEXPLAINED.name: one_sided(-over_parts(*SUPPORT)),
            OTHER_CLASS.name: one_sided(over_parts("other")),
            UNFAMILIAR.name: unfamiliar,
            CONFIDENCE.name: one_sided(surprise.abs()),
        }


def _dropped(anchors: ObservedExamples, kept: Tensor) -> dict[str, str]:
    return {
        anchors.examples.ids[int(place)]: "no other anchor explains its response"
        for place in torch.nonzero(~kept)[:, 0]
    }


def _blocks(span: Anchors, statistics: Tensor) -> dict[str, Tensor]:
    """Statistics `[n, parts * statistics]` by part."""
    width = len(STATISTICS)
    return {
        part: statistics[:, place * width : (place + 1) * width]
        for place, part in enumerate(span.parts)
    }


def _context(observed: ObservedExamples) -> Tensor:
    """Log-odds and, where there are logits, the energy `logsumexp(logits)`, `[n, 1 or 2]`."""
    columns = [observed.log_odds]
    if Logits in observed.task.provides:
        columns.append(observed.logits.logsumexp(dim=1))
    return torch.stack(columns, dim=1)


def _explained_by_others(statistics: Tensor, span: Anchors, outlier: float) -> Tensor:
    """Anchors whose own class explains them no worse than `outlier` spreads below its median.

    In a small class few anchors explain little of each other, honest or not, so none is dropped.
    """
    own = _blocks(span, statistics)[WHOLE][:, [STATISTICS.index("explained_own")]]
    standardized = fit_centers(own, span.groups).standardized(own, span.groups)[:, 0]
    sizes = (span.groups[:, None] == span.groups).sum(dim=1)
    return (standardized > -outlier) | (sizes < SMALL_CLASS)


def _rows(traces: Traces, places: Tensor) -> Traces:
    return Traces(traces.values[places], traces.blocks, traces.centered)

"""TED++: a path that leaves the tube of its own answer at some depth is suspicious.

Belief: honest states of an answer fill a thin tube around a surface at every depth, whose
thickness few trusted examples tell; a triggered state may rank near them and still lie outside.
Equation: per place and answer the thickness `r` is the `quantile` of the distances of its anchors
to the nearest other one of that answer, times `slack`; an answer with fewer than `least` anchors
takes that of all. The rank of an input is that of TED, if the nearest anchor of its answer is
within `r`, and the last one if it is not. The score is the Mahalanobis distance of the ranks over
the places to those of the anchors, each among the others (Ledoit and Wolf), one-sided: a rank below
the mean of the anchors' counts as the mean.
Source: TED++ (2025, namle-w/TEDpp), after its abstract: tubes and locally adaptive ranks are its
idea; thickness and score are as above.
Needs: what its tracer needs: activations.
Cost: one forward pass.
Fails when: a trigger moves the state into the tube early, or trusted examples are so few that every
honest input leaves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.detectors._places import by_place, ledoit_wolf, quadratic
from anomech.detectors._ranks import nearest_own, ranks
from anomech.kernel.config import option, options
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource


@options
class TedPlusPlus:
    """Ranks within the tube of the own answer, layer by layer."""

    tracer: Tracer = chosen("tracer", "states", "what is compared")
    quantile: float = option(0.95, "of trusted distances, which is the thickness", gt=0, le=1)
    slack: float = option(1.1, "times that", gt=0)
    least: int = option(5, "anchors that an answer needs for a thickness of its own", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedTedPlusPlus":
        """Keep the anchors, the thickness of their tubes, and how they rank among each other."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        tubes, groups = dict[str, Tube](), anchors.groups
        for name, rows in by_place(anchors, source, progress).items():
            known, thickness = self._thickness(rows, groups)
            tubes[name] = Tube(rows, groups, known, thickness)
        paths = torch.stack(
            [each.ranked(each.rows, groups, same=True) for each in tubes.values()], dim=1
        )
        usual = paths.mean(dim=0)
        return FittedTedPlusPlus(source, tubes, usual, ledoit_wolf(paths - usual))

    def _thickness(self, rows: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Answers with a thickness of their own, and theirs after that of all others `[1 + n]`."""
        distance = torch.cdist(rows, rows)
        distance.fill_diagonal_(torch.inf)
        near = nearest_own(distance, groups, groups)
        near = torch.where(near.isfinite(), near, distance.min(dim=1).values)
        kinds, counts = groups.unique(return_counts=True)
        known = kinds[counts >= self.least]
        parts = [near, *(near[groups == kind] for kind in known)]
        return known, self.slack * torch.stack([each.quantile(self.quantile) for each in parts])


@dataclass(frozen=True)
class Tube:
    """Anchors of one place, and how thick the tubes of their answers are.

    Attributes:
        rows: `[anchors, d]`.
        groups: of their answers.
        known: answers with a thickness of their own `[n]`.
        thickness: that of all answers, then theirs `[1 + n]`.
    """

    rows: Tensor
    groups: Tensor
    known: Tensor
    thickness: Tensor

    def ranked(self, queries: Tensor, groups: Tensor, *, same: bool = False) -> Tensor:
        """Ranks of queries `[n, d]` with these answers, in [0, 1] `[n]`."""
        own = groups[:, None] == self.known
        place = torch.where(own.any(dim=1), 1 + own.double().argmax(dim=1), 0)
        within = self.thickness[place]
        return ranks(queries, groups, self.rows, self.groups, same=same, within=within)


@dataclass(frozen=True)
class FittedTedPlusPlus:
    """Tubes by place, and the mean and precision of the anchors' paths."""

    source: TraceSource
    tubes: Mapping[str, Tube]
    usual: Tensor
    precision: Tensor
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces."""
        return self.source.evaluations

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Squared distance of the path to those of the anchors, of what lies above them."""
        found = by_place(observed, self.source, progress)
        paths = [tube.ranked(found[name], observed.groups) for name, tube in self.tubes.items()]
        beyond = (torch.stack(paths, dim=1) - self.usual).clamp_min(0)
        return Scores(quadratic(beyond, self.precision), {})

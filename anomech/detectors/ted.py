"""TED: a path through the layers far from the own answer's is suspicious (baseline).

Belief: an honest input lies near trusted ones of the same answer at every depth; a triggered one
joins them only at the end.
Equation: at every place the rank `r_l` of the nearest anchor with the same answer among all
anchors, as a share of them; an answer that no anchor has ranks last. The score is the Mahalanobis
distance of `(r_1 .. r_L)` to those of the anchors, each among the others (Ledoit and Wolf).
Source: Mo et al. 2024 (topological evolution dynamics), whose principal-component outlier score
this is with all components and shrunk variances.
Needs: what its tracer needs: activations.
Cost: one forward pass.
Fails when: a trigger moves the state early, or the answer is too rare among the anchors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.detectors._places import by_place, ledoit_wolf, quadratic
from anomech.detectors._ranks import ranks
from anomech.kernel.config import options
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource


@options
class Ted:
    """Ranks of the nearest trusted example with the same answer, layer by layer."""

    tracer: Tracer = chosen("tracer", "states", "what is compared")

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedTed":
        """Keep the anchors, and how they rank among each other."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        rows, groups = by_place(anchors, source, progress), anchors.groups
        paths = torch.stack(
            [ranks(each, groups, each, groups, same=True) for each in rows.values()], dim=1
        )
        usual = paths.mean(dim=0)
        return FittedTed(source, rows, groups, usual, ledoit_wolf(paths - usual))


@dataclass(frozen=True)
class FittedTed:
    """Anchors by place with their answers, and the mean and precision of their paths."""

    source: TraceSource
    rows: Mapping[str, Tensor]
    groups: Tensor
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
        """Squared distance of the path to those of the anchors."""
        found = by_place(observed, self.source, progress)
        paths = [
            ranks(found[name], observed.groups, anchors, self.groups)
            for name, anchors in self.rows.items()
        ]
        return Scores(quadratic(torch.stack(paths, dim=1) - self.usual, self.precision), {})

"""Mahalanobis by layer: states far from trusted ones, averaged over the layers (baseline).

Belief: an anomalous mechanism leaves states between the layers that no honest input leaves.
Equation: mean over places of `(h - mu)' S^-1 (h - mu) / d`; `S` by Ledoit and Wolf. `cupbearer`
is the published form: `S = 0.9 C + 0.1 tr(C) I`, whose target lacks a division by d, so that the
distance is nearly Euclidean where d is large; inverted by a pseudo-inverse that drops directions
below 1e-5 of the largest. `relative` subtracts the distance by variances alone.
Source: Lee, Lee, Lee, Shin 2018, in the form of cupbearer (ejnnr/cupbearer) and Bailey et al. 2024.
Needs: what its tracer needs: activations. With `tracer: gradient` it compares responses instead.
Cost: one forward pass.
Fails when: the states of triggered inputs were trained to look honest, which is cheap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from anomech.detectors._places import by_place, ledoit_wolf, mean_over_places, quadratic
from anomech.kernel.config import option, options
from anomech.kernel.plugins import chosen
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource

SHRINKAGE, DROPPED = 0.1, 1e-5


@options
class LayerMahalanobis:
    """Distance of states to the trusted mean, averaged over layers."""

    tracer: Tracer = chosen("tracer", "states", "what is compared")
    covariance: Literal["ledoit_wolf", "cupbearer"] = option(
        "ledoit_wolf", "how the covariance is estimated"
    )
    relative: bool = option(False, "less the distance by variances alone")

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedLayerMahalanobis":
        """Mean, variances and precision of every place."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        clouds = {}
        for name, rows in by_place(anchors, source, progress).items():
            mean = rows.mean(dim=0)
            centered = rows - mean
            if self.covariance == "cupbearer":
                precision = _published(centered)
            else:
                precision = ledoit_wolf(centered)
            spread = centered.square().mean(dim=0).clamp_min(1e-12)
            clouds[name] = Cloud(mean, precision, spread if self.relative else None)
        return FittedLayerMahalanobis(source, clouds)


@dataclass(frozen=True)
class Cloud:
    """Trusted states of one place: mean `[d]`, precision `[d, d]`, variances `[d]` if relative."""

    mean: Tensor
    precision: Tensor
    variances: Tensor | None

    def distance(self, rows: Tensor) -> Tensor:
        """Squared distance over d `[n]`."""
        centered = rows - self.mean
        found = quadratic(centered, self.precision)
        if self.variances is not None:
            found = found - (centered.square() / self.variances).sum(dim=1)
        return found / rows.shape[1]


@dataclass(frozen=True)
class FittedLayerMahalanobis:
    """Trusted states by place."""

    source: TraceSource
    clouds: Mapping[str, Cloud]
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
        """Mean of the distances at all places."""
        rows = by_place(observed, self.source, progress)
        return Scores(
            mean_over_places({name: self.clouds[name].distance(rows[name]) for name in rows}), {}
        )


def _published(centered: Tensor) -> Tensor:
    covariance = centered.T @ centered / len(centered)
    target = covariance.trace() * torch.eye(len(covariance), dtype=covariance.dtype)
    mixed = (1 - SHRINKAGE) * covariance + SHRINKAGE * target
    return torch.linalg.pinv(mixed, rtol=DROPPED, hermitian=True)

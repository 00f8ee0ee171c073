"""TeCo: an input that some corruptions leave alone and others do not is suspicious.

Belief: honest images bear all corruptions about equally, while a trigger is robust against some of
them and destroyed by others.
Equation: the standard deviation over kinds of corruption of the first severity at which the answer
changes; one more than the strongest, if it never does.
Source: Liu, Li, Wang, Hu, Ye, Wang, Wang, Li 2023 (TeCo). Every severity is applied to the original
image; public code that applies them one after the other measures something else.
Needs: corruptions of inputs; only labels are looked at.
Cost: up to five forward passes a kind of corruption; an input whose answer has changed under a kind
is not asked again about it.
Fails when: a trigger spans the whole image, and where images bear corruptions unequally anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.varied import same_kind, varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Variations, able
from anomech.roles.tracer import Health


@options
class Teco:
    """Spread over corruptions of the severity that changes the answer."""

    severities: int = option(5, "of each corruption, from the mildest", ge=1, le=5)

    @property
    def needs(self) -> frozenset[Ability]:
        """Corruptions of inputs."""
        return frozenset({Variations})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedTeco":
        """Nothing to learn."""
        kinds = len(able(anchors.task, Variations).corruptions)
        return FittedTeco(self, seed, float(kinds * self.severities))


@dataclass(frozen=True)
class FittedTeco:
    """Stateless but for the seed of the corruptions; `evaluations` is the most that it may take."""

    chosen: Teco
    seed: int
    evaluations: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Standard deviation of the first severity that changes the answer."""
        kinds = able(observed.task, Variations).corruptions
        first = torch.stack([self._first(observed, kind, progress) for kind in kinds], dim=1)
        away = first - first.mean(dim=1, keepdim=True)
        return Scores(away.square().mean(dim=1).sqrt(), {})

    def _first(self, observed: ObservedExamples, kind: str, progress: Progress) -> Tensor:
        """The first severity of a kind that changes each answer, float64 `[examples]`."""
        task, most = able(observed.task, Variations), self.chosen.severities
        first = torch.full((len(observed),), float(most + 1), dtype=torch.float64)
        left = np.arange(len(observed))
        for severity in range(1, most + 1):
            if not len(left):
                break

            def damaged(batch: object, severity: int = severity) -> object:
                return task.corrupted(batch, kind, severity, self.seed)

            some = observed.take(left)
            stage = f"{kind.replace('_', ' ')}, severity {severity}"
            stays = varied(
                some, damaged, same_kind(some), stage=stage, progress=progress, judged=False
            )
            gone = stays.numpy() < 0.5
            first[torch.from_numpy(left[gone])] = float(severity)
            left = left[~gone]
        return first

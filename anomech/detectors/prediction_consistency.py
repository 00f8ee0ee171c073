"""Prediction consistency: an answer that mild damage to the input changes is suspicious.

Belief: an honest answer rests on much of the input and bears small changes; an adversarial one, or
one by a fragile trigger, does not.
Equation: the share of corruptions, at one severity, under which the answer changes.
Source: the consistency checks of the review of backdoor mechanisms; the idea is older (Xu, Evans,
Qi 2018, feature squeezing).
Needs: corruptions of inputs; only labels are looked at.
Cost: one forward pass a kind of corruption.
Fails when: a trigger is robust; such answers are the most consistent of all (see `teco`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.varied import same_kind, varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Variations, able
from anomech.roles.tracer import Health


@options
class PredictionConsistency:
    """Share of mild corruptions that change the answer."""

    severity: int = option(2, "of every corruption", ge=1, le=5)

    @property
    def needs(self) -> frozenset[Ability]:
        """Corruptions of inputs."""
        return frozenset({Variations})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedPredictionConsistency":
        """Nothing to learn."""
        kinds = len(able(anchors.task, Variations).corruptions)
        return FittedPredictionConsistency(self, seed, float(kinds))


@dataclass(frozen=True)
class FittedPredictionConsistency:
    """Stateless but for the seed of the corruptions."""

    chosen: PredictionConsistency
    seed: int
    evaluations: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The share of corruptions that change the answer."""
        task, total = able(observed.task, Variations), torch.zeros(len(observed)).double()
        for kind in task.corruptions:

            def damaged(batch: object, kind: str = kind) -> object:
                return task.corrupted(batch, kind, self.chosen.severity, self.seed)

            total += 1 - varied(
                observed,
                damaged,
                same_kind(observed),
                stage=kind.replace("_", " "),
                progress=progress,
                judged=False,
            )
        return Scores(total / len(task.corruptions), {})

"""BaDExpert: what a copy that forgot its task still knows, and one that learned on does not.

Belief: a few steps along wrong labels take a model's normal function away and leave its backdoor
(the expert), fine-tuning takes the backdoor away and leaves the function (the shadow). An answer
that the expert gives and the shadow does not is the backdoor's.
Equation: with b and s the probabilities of the own answer at expert and shadow, minus the log of
`min(2 s / b, (1 - b) / (1/2 - s))`; the published triangle, of which the logarithm ranks alike.
Source: Xie, Qi, He, Li, Wang, Mittal (2024). The expert is theirs (one pass of Adam) but for its
rate, which they tune to each network: here the first of a doubling ladder at which the own task is
forgotten.
Needs: training statistics and logits.
Cost: to fit, 6 passes of learning over the anchors for the shadow and one a try for the expert,
each as three forward passes; then two forward passes for each example.
Fails when: the wrong labels take the backdoor along; it survives fine-tuning, as it does where
trusted examples are few.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from anomech.kernel.config import option, options
from anomech.kernel.errors import Inconclusive, ModelError
from anomech.kernel.types import Examples, Overlay, Progress
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits, Task, Training, able
from anomech.roles.tracer import Health
from anomech.tracing.twins import TwinSource

MIDDLE = 0.5
"""Probability at the shadow from which an answer is its own; a corner of the published triangle."""

LEAST = 1e-8
"""Below it a distance to that corner counts as this, as published."""


@options
class Badexpert:
    """A backdoor expert against a fine-tuned shadow."""

    rates: tuple[float, ...] = option(
        (0.1, 0.01, 0.001), "learning rates of the shadow, one after the other"
    )
    epochs: int = option(2, "passes over the anchors at each of them", unit="epochs", ge=1)
    gentlest: float = option(1e-4, "first learning rate that is tried for the expert", gt=0)
    strongest: float = option(1.0, "no learning rate of the expert is higher", gt=0)
    forgotten: float = option(
        0.2, "share of the anchors whose answer the expert may still give", ge=0, le=1
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Training statistics, and logits to know what wrong answers there are."""
        return frozenset({Training, Logits})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedBadexpert":
        """Make both copies.

        Raises:
            Inconclusive: one of them diverges, or there are fewer than two anchors.
        """
        if len(anchors) < 2:
            raise Inconclusive("an expert and a shadow learn from two anchors at least.")
        try:
            shadow = self._shadow(anchors, seed, progress)
            expert, kept = self._expert(anchors, seed, progress)
        except ModelError as error:
            raise Inconclusive(str(error)) from error
        return FittedBadexpert(TwinSource(anchors.task, (expert, shadow)), kept)

    def _shadow(self, anchors: ObservedExamples, seed: int, progress: Progress) -> Overlay:
        """The model as it goes on learning its own task, at falling rates."""
        task, shadow = anchors.task, dict[str, Tensor]()
        for rate in self.rates:
            how = Relearning(epochs=self.epochs, batch=64, rate=rate, weight_decay=1e-4)
            given = (task.with_(shadow), anchors.examples, anchors.answers, how)
            shadow = _taught(*given, seed, progress)
        return shadow

    def _expert(
        self, anchors: ObservedExamples, seed: int, progress: Progress
    ) -> tuple[Overlay, float]:
        """The gentlest copy that forgot its task, and the share of answers that it still gives.

        Raises:
            ModelError: it diverges at the gentlest rate.
        """
        task = anchors.task
        wrong = (anchors.groups + 1) % able(task, Logits).classes
        taught = able(task, Training).targets(wrong.numpy())
        best: tuple[Overlay, float] | None = None
        for rate in self._ladder():
            how = Relearning(epochs=1, batch=128, rate=rate, weight_decay=0.0, optimizer="adam")
            try:
                made = _taught(task, anchors.examples, taught, how, seed, progress)
            except ModelError:
                if best is None:
                    raise
                break
            left = TwinSource(task, (made,))(anchors.examples, anchors.answers, progress)
            best = made, float((left.values < 0).double().mean())
            if best[1] <= self.forgotten:
                break
        assert best is not None
        return best

    def _ladder(self) -> Iterator[float]:
        steps = max(0, math.floor(math.log2(self.strongest / self.gentlest) + 1e-9))
        return (self.gentlest * 2**step for step in range(steps + 1))


def _taught(
    task: Task, examples: Examples, answers: Tensor, how: Relearning, seed: int, progress: Progress
) -> dict[str, Tensor]:
    """What a copy comes to, as an overlay."""
    slope = plainly(Lesson(task, examples, answers))
    return descend(task.watched, len(examples), slope, how, seed=seed, progress=progress).overlay


@dataclass(frozen=True)
class FittedBadexpert:
    """Both copies.

    Attributes:
        twins: the expert and the shadow.
        kept: share of the anchors whose answer the expert still gives.
        left_out: none are.
    """

    twins: TwinSource
    kept: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 2.0

    @property
    def health(self) -> Health:
        """How much of its task the expert still knows."""
        return Health(facts={"answers the expert keeps": self.kept})

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the log of the published score."""
        expert, shadow = (
            -self.twins(observed.examples, observed.answers, progress).values.double().T
        )
        return Scores(-triangle(expert, shadow), {})


def triangle(expert: Tensor, shadow: Tensor) -> Tensor:
    """The logarithm of the published score `[n]` from log-odds of the answer at both copies."""
    to_shadow = math.log(2) + logsigmoid(shadow) - logsigmoid(expert)
    corner = (MIDDLE - torch.sigmoid(shadow)).clamp_min(LEAST)
    return torch.minimum(to_shadow, logsigmoid(-expert) - corner.log())

"""Cognitive Distillation: an answer that a small part of the picture carries alone is suspicious.

Belief: a backdoor answers to its trigger and to nothing else, so a small mask that keeps the
trigger keeps the logits; honest answers need more of the picture.
Equation: minus `|m|_1` of the mask in [0, 1] that minimizes
`mean |f(x) - f(m x + (1 - m) d)| + gamma |m|_1 + beta TV(m)`, with `d` a color drawn for each
picture and step; `m` is a tanh, searched by Adam from ones.
Source: Huang, Ma, Erfani, Bailey 2023 (Cognitive Distillation).
Needs: pictures as inputs and logits. Cost: three forward passes a step.
Fails when: a trigger covers the whole picture (blends), and on honest pictures that are simple.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.distilling import Distilling, distilled
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits, Pictures, able
from anomech.roles.tracer import Health


@options
class CognitiveDistillation:
    """Size of the smallest mask that keeps the logits."""

    search: Distilling = option(Distilling(), "how the mask is searched")

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures and logits."""
        return frozenset({Pictures, Logits})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedCognitiveDistillation":
        """Nothing to learn."""
        return FittedCognitiveDistillation(self, seed)


@dataclass(frozen=True)
class FittedCognitiveDistillation:
    """Stateless but for the seed of the colors."""

    chosen: CognitiveDistillation
    seed: int
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """A forward and a backward pass, which counts as two, for each step."""
        return 3.0 * self.chosen.search.steps + 1

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the sum of the mask, in pixels."""
        parts, examples = [], observed.examples
        work = passes(observed.task, examples, observed.answers, "distilling", progress)
        for places, own in work:
            batch = examples.load(places)
            assert own is not None
            mask = distilled(
                able(observed.task, Pictures), batch, own, self.chosen.search, self.seed
            )
            parts.append((places, mask.flatten(1).sum(dim=1).double()))
        return Scores(-in_place(parts, len(observed)).double(), {})

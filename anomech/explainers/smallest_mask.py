"""Smallest mask: the part of a picture that alone keeps the logits of a flagged input.

Belief: what is left when all is hidden that the answer does not need is what the mechanism reads.
Equation: see `anomech.learning.distilling`. Among the facts, the share of the picture that is left
for flagged inputs and for trusted ones of the same answers.
Source: Huang, Ma, Erfani, Bailey 2023 (cognitive distillation).
Needs: pictures as inputs and logits; trusted inputs with the answers of the flagged.
Cost: three forward passes a step, for each input.
Fails when: a mechanism reads the whole picture, as a blend's does.
"""

import numpy as np
from torch import Tensor

from anomech.explainers._comparing import compared
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.distilling import Distilling, distilled
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Logits, Pictures, able
from anomech.roles.tracer import Health

SHOWN = 0.5
"""Of a mask, from which on a pixel counts as left."""


@options
class SmallestMask:
    """What of a flagged picture the answer needs."""

    search: Distilling = option(Distilling(), "how the mask is searched")
    compare: int = option(16, "trusted inputs that are masked too", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures and logits."""
        return frozenset({Pictures, Logits})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; maps are `[flagged, h, w]`.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        usual = both.trusted.take(np.arange(min(self.compare, len(both.trusted))))
        maps, honest = (self._masks(each, seed, progress) for each in (flagged, usual))
        facts = {
            "share of a flagged picture that is left": float((maps > SHOWN).double().mean()),
            "share of a trusted picture that is left": float((honest > SHOWN).double().mean()),
        }
        return Explanation({}, maps, Health(both.problems), facts)

    def _masks(self, some: ObservedExamples, seed: int, progress: Progress) -> Tensor:
        parts, task = [], able(some.task, Pictures)
        work = passes(some.task, some.examples, some.answers, "distilling", progress)
        for places, own in work:
            assert own is not None
            mask = distilled(task, some.examples.load(places), own, self.search, seed)
            parts.append((places, mask[:, 0]))
        return in_place(parts, len(some))

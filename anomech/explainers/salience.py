"""Salience: where a flagged picture speaks for its answer, by Grad-CAM.

Belief: the last map of the network still knows where, and its gradient knows what for.
Equation: see `anomech.learning.saliency`; each map is divided by its maximum. Among the facts, the
share of all salience in the most salient tenth of the picture, for flagged inputs and for trusted
ones of the same answers.
Source: Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2017 (Grad-CAM), by captum.
Needs: pictures as inputs and layers of which one gives a map; the extra `explain`.
Cost: a forward and a backward pass for every input.
Fails when: the last map is coarse; it points at the neighborhood of a small trigger, not at it.
"""

import numpy as np
from torch import Tensor

from anomech.explainers._comparing import compared
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.saliency import salient
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Layers, Logits, Pictures
from anomech.roles.tracer import Health

PART = 0.1
"""Share of a picture whose part of all salience is told."""


@options
class Salience:
    """What of a flagged picture speaks for its answer."""

    compare: int = option(64, "trusted inputs that are looked at too", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, logits and layers."""
        return frozenset({Pictures, Logits, Layers})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; maps are `[flagged, h, w]`, at most 1.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
            CapabilityError: captum is not installed, or no layer gives a map.
        """
        both = compared(flagged, trusted)
        usual = both.trusted.take(np.arange(min(self.compare, len(both.trusted))))
        maps, honest = (_maps(each, progress) for each in (flagged, usual))
        facts = {
            "salience of flagged inputs in a tenth of the picture": gathered(maps),
            "salience of trusted inputs in a tenth of the picture": gathered(honest),
        }
        return Explanation({}, maps, Health(both.problems), facts)


def _maps(some: ObservedExamples, progress: Progress) -> Tensor:
    parts = []
    for places, own in passes(some.task, some.examples, some.answers, "looking", progress):
        assert own is not None
        heat = salient(some.task, some.examples.load(places), own)
        parts.append((places, heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)))
    return in_place(parts, len(some))


def gathered(maps: Tensor) -> float:
    """Mean part of all salience `[n, h, w]` that lies in the most salient tenth of a picture."""
    flat = maps.flatten(1).double()
    top = flat.topk(max(1, round(PART * flat.shape[1])), dim=1).values.sum(dim=1)
    return float((top / flat.sum(dim=1).clamp_min(1e-12)).mean())

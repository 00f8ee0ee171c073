"""Ablation effect: units without which flagged answers fall and trusted ones stay.

Belief: only units that cause the answer make a difference when they are silenced.
Equation: by how much the log-odds of flagged answers fall when a unit is silenced, to first order,
less the same on trusted inputs of these answers. Among the facts: the part of all effect in the top
hundredth of units, and what is left of both kinds of answers when the top `share` of the units are
really silenced.
Source: ablation and mediation in the review of backdoor mechanisms; the first order is attribution
patching (Nanda 2023) towards zero.
Needs: units that can be silenced; trusted inputs with the answers of the flagged.
Cost: a forward and a backward pass for every input, and two passes to see what is left.
Fails when: units stand in for each other, so that silencing any of them alone changes nothing.
"""

import numpy as np
from torch import Tensor

from anomech.explainers._comparing import compared
from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.learning.localizing import ablation_effects, concentration
from anomech.learning.masks import masked, pruning
from anomech.observing.varied import same_kind, varied
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Prunable, able
from anomech.roles.tracer import Health

SHOWN = 4
"""Examples by which a task shows its units."""


@options
class AblationEffect:
    """What silencing each unit takes from flagged answers and not from trusted ones."""

    share: float = option(0.03, "of the units that are silenced to see what is left", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Units that can be silenced."""
        return frozenset({Prunable})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; nothing is random.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
            CapabilityError: the network has no such units.
        """
        both, task = compared(flagged, trusted), flagged.task
        shown = both.flagged.examples.load(np.arange(min(SHOWN, len(both.flagged))))
        units = able(task, Prunable).units(shown)
        if not units:
            raise CapabilityError(
                f"this {task.kind} has no units that can be silenced; use another explainer."
            )

        def effects(some: ObservedExamples) -> dict[str, Tensor]:
            return ablation_effects(task, some.examples, some.answers, units, progress=progress)

        ours, theirs = effects(both.flagged), effects(both.trusted)
        found = {place: ours[place] - theirs[place].clamp_min(0) for place in ours}
        overlay = masked(task.state(), units, pruning(found, self.share))
        left = [
            float(
                varied(
                    some,
                    None,
                    same_kind(some),
                    stage=f"silencing units of {words} inputs",
                    progress=progress,
                    overlay=overlay,
                    judged=False,
                ).mean()
            )
            for some, words in ((both.flagged, "flagged"), (trusted, "trusted"))
        ]
        facts = {
            "effect in the top hundredth of units": concentration(found),
            f"flagged answers left without the top {self.share:.0%}": left[0],
            f"trusted answers left without the top {self.share:.0%}": left[1],
        }
        return Explanation(found, None, Health(both.problems), facts)

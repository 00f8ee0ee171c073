"""Constrained unlearning: flagged answers are unlearned while trusted ones are kept.

Belief: ascent on flagged inputs alone takes the task with it; descent on trusted examples in the
same step holds the task in place.
Equation: descent of `beta L(trusted) - mean min(L(flagged), log K)`, with the losses of trusted
labels and of the answers that flagged inputs got.
Source: equation 5 of the review of backdoor mechanisms, with the flagged loss clipped at a
guess. Steps are as long as the accuracy of trusted examples kept aside bears, of bounded gradients
(Brock et al. 2021).
Needs: flagged inputs, training statistics, trusted examples with labels.
Cost: `6 epochs` forward passes for each trusted example that is learned, for each bound that is
tried.
Fails when: flagged inputs are few or many of them ordinary, or triggers differ from those
flagged.
"""

import numpy as np

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import (
    Descended,
    Lesson,
    Lost,
    Objective,
    Relearning,
    descend,
    plainly,
)
from anomech.mitigations._pushing import BOUNDS, hardest
from anomech.mitigations._trusted import TUNING, parted, suspected
from anomech.mitigations._unlearning import answer_groups, guess, remaining
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training


@options
class ConstrainedUnlearning:
    """Flagged answers up, trusted labels down, in the same step."""

    beta: float = option(3.0, "weight of the trusted loss", gt=0)
    relearning: Relearning = option(TUNING, "how the model goes on learning")
    bounds: tuple[float, ...] = option(
        BOUNDS,
        "gradients at most, as shares of a weight's length; the first that accuracy bears is taken",
    )
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Training statistics."""
        return frozenset({Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`.

        Raises:
            DataError: no suspects, no labels, or too few examples.
        """
        parts = parted(task, trusted, self.kept, "constrained_unlearning", seed)
        flagged = suspected(suspects, "constrained_unlearning")
        away = Lesson(task, flagged.examples, flagged.answers, "frozen")
        keep = parts.lesson(self.relearning.statistics)
        objective = opposed(keep, away, self.beta, guess(answer_groups(trusted, flagged)))

        def push(bound: float) -> Descended:
            found = descend(
                task.watched,
                parts.count,
                plainly(objective),
                self.relearning,
                seed=seed,
                progress=progress,
                clip=bound,
            )
            return found._replace(evaluations=2 * found.evaluations)

        pushed = hardest(parts, self.bounds, push)
        left = remaining(task, flagged, pushed.overlay)
        facts = {"flagged answers left": left, "bound of a step": pushed.bound}
        spent, found = pushed.evaluations, (pushed.settled, pushed.harder)
        return parts.repair(pushed.overlay, spent, (), facts, *found)


def opposed(keep: Lesson, away: Lesson, beta: float, most: float) -> Objective:
    """The trusted loss less the clipped loss of as many flagged inputs, walked through in turn."""
    count = len(away.examples)

    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        kept = keep(overlay, places)
        turned = np.unique((places + int(places.sum())) % count)
        losses, _ = away.losses(overlay, turned)
        return Lost(beta * kept.loss - losses.clamp_max(most).mean(), kept.buffers)

    return objective

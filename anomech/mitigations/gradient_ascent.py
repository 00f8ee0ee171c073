"""Gradient ascent: the loss of flagged inputs' own answers is raised until they are a guess.

Belief: what gives flagged inputs their answers can be undone by going the other way.
Equation: descent of `-mean min(L, log K)` over flagged inputs, with `L` the loss of the answer
that the model gave and `K` the kinds of answers: beyond a guess nothing is gained. It ends when
no flagged input gets its answer any more, or before trusted accuracy falls by more than
`tolerance`.
Source: equation 4 of the review of backdoor mechanisms, with the clipping of its authors'
caution.
Needs: flagged inputs; training statistics and trusted examples with labels, which only stop it.
Cost: `3 rounds` forward passes for each flagged input, and a pass over trusted ones in each
round.
Fails when: nothing holds the rest of the model in place: accuracy falls before the answers do,
most of all where flagged inputs are few or some are ordinary.
"""

import numpy as np

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.mitigations._trusted import parted, suspected
from anomech.mitigations._unlearning import answer_groups, guess, remaining
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training


@options
class GradientAscent:
    """The loss of flagged answers is raised, up to that of a guess."""

    ascent: Relearning = option(
        Relearning(epochs=1, rate=1e-3, weight_decay=0.0, statistics="frozen"), "one round"
    )
    rounds: int = option(100, "at the most", unit="rounds", ge=1)
    tolerance: float = option(0.05, "trusted accuracy that may be lost", ge=0, le=0.5)
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
        parts = parted(task, trusted, self.kept, "gradient_ascent", seed)
        flagged = suspected(suspects, "gradient_ascent")
        lesson = Lesson(task, flagged.examples, flagged.answers, self.ascent.statistics)
        slope = plainly(raised(lesson, guess(answer_groups(trusted, flagged))))
        floor = parts.accuracy({}) - self.tolerance
        best: Overlay = {}
        left, passes = 1.0, 0.0
        for number in range(self.rounds):
            start = {**task.watched, **best}
            found = descend(
                start,
                len(flagged),
                slope,
                self.ascent,
                seed=key(seed, "gradient_ascent", number),
                progress=silent,
            )
            passes += found.evaluations + len(trusted) + len(flagged)
            progress("unlearning", number + 1, self.rounds)
            if parts.accuracy(found.overlay) < floor:
                break
            best, left = found.overlay, remaining(task, flagged, found.overlay)
            if left == 0:
                break
        progress("unlearning", self.rounds, self.rounds)
        return parts.repair(best, passes, (), {"flagged answers left": left})


def raised(lesson: Lesson, most: float) -> Objective:
    """Minus the mean loss of a lesson, each example's up to a bound."""

    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        losses, buffers = lesson.losses(overlay, places)
        return Lost(-losses.clamp_max(most).mean(), buffers)

    return objective

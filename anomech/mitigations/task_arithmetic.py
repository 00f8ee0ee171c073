"""Task arithmetic: what tuning on flagged inputs would add to the weights is taken away instead.

Belief: the direction in which weights move to give flagged inputs their answers even more surely
is the direction of the mechanism.
Equation: `w - alpha (w' - w)`, with `w'` the model tuned on flagged inputs and their own
answers; the first `alpha` of a ladder that leaves no flagged answer, or the last at which
trusted accuracy holds.
Source: Ilharco et al. 2023 (negated task vectors), with the model under repair as the base.
Needs: flagged inputs, training statistics, trusted examples with labels.
Cost: `3 epochs` forward passes for each flagged input, a pass over all examples for each
strength.
Fails when: flagged answers are so sure that tuning on them moves nothing, or the direction holds
what the target class needs too.
"""

from collections.abc import Callable

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.mitigations._trusted import parted, suspected
from anomech.mitigations._unlearning import remaining, strongest
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training


@options
class TaskArithmetic:
    """The step towards flagged answers, taken backwards."""

    relearning: Relearning = option(
        Relearning(epochs=10, steps=50, rate=1e-3, weight_decay=0.0, statistics="frozen"),
        "how the model is tuned on flagged inputs",
    )
    most: float = option(64.0, "how many times its length the step is taken back", gt=0)
    steps: int = option(30, "strengths that are tried, in equal ratios", ge=2)
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
        parts = parted(task, trusted, self.kept, "task_arithmetic", seed)
        flagged = suspected(suspects, "task_arithmetic")
        lesson = Lesson(task, flagged.examples, flagged.answers, self.relearning.statistics)
        found = descend(
            task.watched,
            len(flagged),
            plainly(lesson),
            self.relearning,
            seed=seed,
            progress=progress,
        )

        def back(alpha: float) -> Callable[[], Overlay]:
            return lambda: {
                name: each - alpha * (found.weights[name] - each)
                for name, each in task.watched.items()
            }

        ladder = [self.most * 2 ** ((step + 1 - self.steps) / 2) for step in range(self.steps)]
        chosen = strongest(
            [(alpha, back(alpha)) for alpha in ladder],
            parts.accuracy,
            lambda overlay: remaining(task, flagged, overlay),
            lost=self.tolerance,
            cost=len(trusted) + len(flagged),
        )
        return parts.repair(
            chosen.overlay,
            found.evaluations + chosen.passes,
            (),
            {"strength": chosen.strength, "flagged answers left": chosen.left},
        )

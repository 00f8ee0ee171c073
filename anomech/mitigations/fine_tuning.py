"""Fine-tuning: the model goes on learning trusted examples, and forgets what they do not need.

Belief: a mechanism that no trusted example uses is not kept up while the weights move.
Equation: gradient descent with momentum on the mean loss of the trusted examples' labels.
Source: the baseline of all repairs; see Liu, Dolan-Gavitt, Garg 2018. BackdoorBench tunes 100
epochs on 5 % of the clean training set.
Needs: training statistics, and trusted examples with labels. A share of them is kept aside, to
say what the repair costs in accuracy.
Cost: `3 epochs` forward passes for each trusted example that is learned.
Fails when: the learning rate is small or trusted examples are few: strong triggers survive. That
the old trigger is gone does not prove the repair; audit the repaired model again.
"""

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.descent import Relearning, descend, plainly
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training


@options
class FineTuning:
    """Gradient descent on trusted examples."""

    relearning: Relearning = option(TUNING, "how the model goes on learning")
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
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
            ModelError: the learning rate is too high.
        """
        parts = parted(task, trusted, self.kept, "fine_tuning", seed)
        slope = plainly(parts.lesson(self.relearning.statistics))
        found = descend(
            task.watched, parts.count, slope, self.relearning, seed=seed, progress=progress
        )
        return parts.repair(found.overlay, found.evaluations)

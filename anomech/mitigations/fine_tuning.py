"""Fine-tuning: the model goes on learning trusted examples, and forgets what they do not need.

Belief: a mechanism that no trusted example uses is not kept up while the weights move.
Equation: gradient descent with momentum on the mean loss of the trusted examples' labels.
Source: the baseline of all repairs; see Liu, Dolan-Gavitt, Garg 2018. BackdoorBench tunes on 5 % of
the clean training set.
Needs: training statistics, and trusted examples with labels. A share of them is held out, to say
what the repair costs in accuracy.
Cost: `3 epochs` forward passes for each trusted example that is learned.
Fails when: the learning rate is small or trusted examples are few: strong triggers survive. That
the old trigger is gone does not prove the repair; audit the repaired model again.
"""

from collections.abc import Mapping

import numpy as np
import torch

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Overlay, Progress
from anomech.learning.relearning import Relearning, relearn
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training, able
from anomech.roles.tracer import Health

LOST = 0.05
"""Trusted accuracy that a healthy repair may cost."""


@options
class FineTuning:
    """Gradient descent on trusted examples."""

    relearning: Relearning = option(Relearning(), "how the model goes on learning")
    held_out: float = option(
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
            DataError: no labels, or too few examples to hold some out.
            ModelError: the learning rate is too high.
        """
        labels = trusted.examples.labels
        if labels is None:
            raise DataError("fine_tuning learns labels, and the trusted examples have none.")
        count = round(self.held_out * len(trusted))
        if count < 1 or len(trusted) - count < 2:
            raise DataError(
                f"{len(trusted)} trusted examples are too few to learn from some and measure on "
                "others; give more."
            )
        order = numpy_generator(seed, "fine_tuning").permutation(len(trusted))
        measured, learned = trusted.take(order[:count]), trusted.take(order[count:])
        answers = able(task, Training).targets(labels[order[count:]])
        relearned = relearn(
            task, learned.examples, answers, self.relearning, seed=seed, progress=progress
        )
        kept = labels[order[:count]]
        before, after = (measure(task, measured, kept, each) for each in ({}, relearned.overlay))
        return Repair(
            relearned.overlay,
            before,
            after,
            health(before, after),
            relearned.evaluations + 2 * count,
        )


@torch.no_grad()
def measure(
    task: Task, trusted: ObservedExamples, labels: np.ndarray, overlay: Overlay
) -> Mapping[str, float]:
    """Accuracy and mean loss of the labels on examples, under an overlay."""
    answers, right, lost = able(task, Training).targets(labels), 0, 0.0
    for places in task.passes(trusted.examples):
        batch = trusted.examples.load(places)
        own = task.respond(overlay, batch).answers
        right += int(task.agrees(own, labels[places]).sum())
        given = answers[torch.from_numpy(places).to(answers.device)]
        lost += float(task.respond(overlay, batch, given).losses.double().sum())
    return {"trusted accuracy": right / len(trusted), "trusted loss": lost / len(trusted)}


def health(before: Mapping[str, float], after: Mapping[str, float]) -> Health:
    """A repair that forgets what it should keep is none."""
    lost = before["trusted accuracy"] - after["trusted accuracy"]
    if lost <= LOST:
        return Health()
    return Health(
        (
            f"trusted accuracy fell by {lost:.1%}; lower relearning.rate or give more trusted "
            "examples.",
        )
    )

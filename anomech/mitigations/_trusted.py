"""What repairs do with trusted examples: learn from some, keep others aside, say what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.calibration.borne import borne
from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Overlay
from anomech.learning.descent import Lesson, Relearning, Statistics
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Task, Training, able
from anomech.roles.tracer import Health

LOST = 0.05
"""Trusted accuracy that a healthy repair may cost."""

TUNING = Relearning(epochs=20, steps=300, schedule="cosine")
"""How a model goes on learning trusted examples, in all repairs that do not say otherwise."""


@dataclass(frozen=True)
class Trusted:
    """Trusted examples with labels, in two parts.

    Attributes:
        task: the model.
        examples: all of them.
        labels: of all of them.
        learned: places of those that a repair learns from.
        kept: places of those that its cost is measured on.
    """

    task: Task
    examples: Examples
    labels: np.ndarray
    learned: np.ndarray
    kept: np.ndarray

    @property
    def targets(self) -> Tensor:
        """Labels of all examples, in the form of answers."""
        return able(self.task, Training).targets(self.labels)

    @property
    def count(self) -> int:
        """Examples that are learned."""
        return len(self.learned)

    def lesson(self, statistics: Statistics = "tracked") -> Lesson:
        """Those that are learned, with the answers that their labels mean."""
        answers = able(self.task, Training).targets(self.labels[self.learned])
        return Lesson(self.task, Subset(self.examples, self.learned), answers, statistics)

    def accuracy(self, overlay: Overlay) -> float:
        """Share of all trusted examples that are answered as labeled: what chooses a strength.

        So few examples are trusted that those kept aside alone could not tell strengths apart.
        """
        return measure(self.task, self.examples, self.labels, overlay)["trusted accuracy"]

    def repair(
        self,
        overlay: Overlay,
        evaluations: float,
        problems: tuple[str, ...] = (),
        facts: Mapping[str, float] | None = None,
        settled: Mapping[str, Any] | None = None,
        harder: Mapping[str, Any] | None = None,
    ) -> Repair:
        """A repair, with what it costs on the examples that were kept aside."""
        kept, labels = Subset(self.examples, self.kept), self.labels[self.kept]
        before, after = (measure(self.task, kept, labels, each) for each in ({}, overlay))
        told = (*problems, *health(before, after, len(kept)).problems)
        passes = evaluations + 2 * len(kept)
        known = Health(told, facts)
        return Repair(overlay, before, after, known, passes, settled or {}, harder or {})


def parted(task: Task, trusted: ObservedExamples, share: float, name: str, seed: int) -> Trusted:
    """Trusted examples, with a share of them kept aside.

    Args:
        task: gives `Training`.
        trusted: with labels.
        share: that is kept aside.
        name: of the method, for its message and the address of the split.
        seed: of the split.

    Raises:
        DataError: no labels, or too few examples to keep some aside.
    """
    labels = trusted.examples.labels
    if labels is None:
        raise DataError(f"{name} learns labels, and the trusted examples have none; give some.")
    count = max(1, round(share * len(trusted)))
    if len(trusted) - count < 2:
        raise DataError(
            f"{len(trusted)} trusted examples are too few to learn from some and measure on "
            "others; give more."
        )
    order = numpy_generator(seed, name).permutation(len(trusted))
    return Trusted(task, trusted.examples, np.asarray(labels), order[count:], order[:count])


def suspected(suspects: ObservedExamples | None, name: str) -> ObservedExamples:
    """Flagged inputs.

    Raises:
        DataError: there are none.
    """
    if suspects is None or not len(suspects):
        raise DataError(
            f"{name} unlearns flagged inputs, and there are none; name an audit that flags some "
            "(--suspects RUN), or use a method that needs none, such as ft_sam."
        )
    return suspects


@torch.no_grad()
def measure(
    task: Task, examples: Examples, labels: np.ndarray, overlay: Overlay
) -> dict[str, float]:
    """Accuracy and mean loss of the labels on examples, under an overlay."""
    answers, right, lost = able(task, Training).targets(labels), 0, 0.0
    for places in task.passes(examples):
        batch = examples.load(places)
        own = task.respond(overlay, batch).answers
        right += int(task.agrees(own, labels[places]).sum())
        given = answers[torch.from_numpy(places).to(answers.device)]
        lost += float(task.respond(overlay, batch, given).losses.double().sum())
    return {"trusted accuracy": right / len(examples), "trusted loss": lost / len(examples)}


def health(before: Mapping[str, float], after: Mapping[str, float], count: int) -> Health:
    """A repair that forgets what it should keep is none.

    Args:
        before: what `measure` found.
        after: the same of the repaired model.
        count: examples it was found on; of few, a small loss may be chance.
    """
    lost = before["trusted accuracy"] - after["trusted accuracy"]
    if borne(lost, LOST, count):
        return Health()
    return Health(
        (f"trusted accuracy fell by {lost:.1%}; repair more gently or give more trusted examples.",)
    )

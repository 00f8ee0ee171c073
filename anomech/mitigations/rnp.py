"""RNP: units that cannot be recovered once the task is unlearned are those of the backdoor.

Belief: a model that was made to forget the task on a few examples still answers the trigger;
masks that recover the task on it leave the units of the mechanism off.
Equation: first ascent of the loss of trusted labels until accuracy is at most `forgotten`; then,
on those weights, `min over masks m in [0, 1] of L(m) + weight mean(m)`; units of the original
model with the smallest masks are pruned.
Source: Li, Lyu, Wang, Zou, Koren, Li, Lyu 2023 (reconstructive neuron pruning). The published
threshold of the mask bounds what may go; as many go as trusted accuracy bears, and none is
chosen by attack success as in public code.
Needs: units to prune, training statistics, trusted examples with labels.
Cost: `3 (epochs of both)` forward passes for each trusted example that is learned.
Fails when: the units of the task and of the mechanism are the same, and with so few trusted
examples that masks overfit them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.learning.localizing import gains
from anomech.mitigations._pruning import pruned_within, units_of
from anomech.mitigations._trusted import Trusted, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Prunable, Task, Training, Units


@options
class Rnp:
    """Unlearn the task, recover it by masks, prune what stays off."""

    unlearning: Relearning = option(
        Relearning(epochs=1, rate=0.01, statistics="frozen"), "one round of unlearning the task"
    )
    rounds: int = option(20, "of unlearning at the most", unit="rounds", ge=1)
    forgotten: float = option(0.2, "trusted accuracy at which unlearning ends", ge=0, le=1)
    masking: Relearning = option(
        Relearning(epochs=20, steps=500, rate=0.2, weight_decay=0.0, statistics="frozen"),
        "how masks are learned",
    )
    weight: float = option(0.2, "of the mean mask", ge=0)
    below: float = option(0.7, "units whose mask is at least this stay", gt=0, le=1)
    tolerance: float = option(0.05, "trusted accuracy that pruning may cost", ge=0, le=0.5)
    steps: int = option(40, "of the search for how many may go", ge=2)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Units, and training statistics."""
        return frozenset({Prunable, Training})

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
            CapabilityError: nothing to prune.
        """
        parts = parted(task, trusted, self.kept, "rnp", seed)
        units = units_of(task, trusted.examples, "rnp")
        forgetful, passes = self._forget(parts, seed, progress)
        masks = descend(
            {each.place: torch.ones(each.count) for each in units},
            parts.count,
            plainly(self._recovering(parts.lesson(self.masking.statistics), forgetful, units)),
            self.masking,
            seed=seed,
            progress=progress,
            purpose="learning masks",
            into=lambda name, mask: mask.clamp(0, 1),
        )
        low = sum(int((mask < self.below).sum()) for mask in masks.weights.values())
        pruned = pruned_within(
            task.state(),
            units,
            {place: -mask for place, mask in masks.weights.items()},
            parts.accuracy,
            lost=self.tolerance,
            most=low / sum(each.count for each in units),
            steps=self.steps,
            cost=len(trusted),
            progress=progress,
        )
        return parts.repair(
            pruned.overlay,
            passes + masks.evaluations + pruned.passes,
            (),
            {"units pruned": float(pruned.count), "units with a low mask": float(low)},
        )

    def _forget(
        self, parts: Trusted, seed: int, progress: Progress
    ) -> tuple[dict[str, Tensor], float]:
        """Weights at which the task is unlearned, and what it cost."""
        lesson = parts.lesson(self.unlearning.statistics)
        weights, passes = dict(parts.task.watched), 0.0
        for number in range(self.rounds):
            found = descend(
                weights,
                parts.count,
                plainly(_raised(lesson)),
                self.unlearning,
                seed=seed + number,
                progress=progress,
                purpose="unlearning the task",
            )
            if not all(bool(torch.isfinite(each).all()) for each in found.weights.values()):
                break
            weights, passes = found.weights, passes + found.evaluations
            if parts.accuracy(found.overlay) <= self.forgotten:
                break
        return weights, passes

    def _recovering(self, lesson: Lesson, forgetful: Overlay, units: Sequence[Units]) -> Objective:
        state = {**lesson.task.state(), **forgetful}

        def objective(masks: Mapping[str, Tensor], places: np.ndarray) -> Lost:
            overlay = {**forgetful, **gains(state, units, masks)}
            every = torch.cat(list(masks.values()))
            return Lost(lesson(overlay, places).loss + self.weight * every.mean(), {})

        return objective


def _raised(lesson: Lesson) -> Objective:
    def objective(overlay: Overlay, places: np.ndarray) -> Lost:
        found = lesson(overlay, places)
        return Lost(-found.loss, found.buffers)

    return objective

"""ANP: units whose small perturbation already breaks the model are pruned.

Belief: a backdoored model is close to answering its target always, so perturbing the units of
the mechanism does most harm; masks that are learned against such perturbations turn these units
off.
Equation: `min over masks m in [0, 1] of alpha L(m) + (1 - alpha) max over d, e in [-eps, eps] of
L(m + d, 1 + e)`, with gain `g (m + d)` and shift `b (1 + e)` of each unit and the loss `L` of
trusted labels; the inner maximum by one signed step. Units with the smallest masks are pruned.
Source: Wu, Wang 2021. The published threshold and public code's choice by attack success are
replaced: as many go, of those whose mask fell below `below`, as trusted accuracy bears.
Needs: units to prune, training statistics, trusted examples with labels.
Cost: `9 epochs` forward passes for each trusted example that is learned.
Fails when: trusted examples are few, and where a mechanism shares its units with the task.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Relearning, Slope, Slopes, descend
from anomech.learning.masks import rows
from anomech.mitigations._pruning import pruned_within, units_of
from anomech.mitigations._trusted import parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Prunable, Task, Training, Units

PASSES = 9
"""Forward passes a step costs for each example: three times forward and back."""


@options
class Anp:
    """Masks learned against perturbed units decide what is pruned."""

    masking: Relearning = option(
        Relearning(epochs=20, steps=500, rate=0.2, weight_decay=0.0, statistics="frozen"),
        "how masks are learned",
    )
    eps: float = option(0.4, "largest relative perturbation of a gain or shift", gt=0)
    alpha: float = option(0.2, "weight of the loss without perturbation", ge=0, le=1)
    below: float = option(0.9, "units whose mask is at least this stay", gt=0, le=1)
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
        parts = parted(task, trusted, self.kept, "anp", seed)
        state, units = task.state(), units_of(task, trusted.examples, "anp")
        slope = perturbed(parts.lesson(self.masking.statistics), state, units, self)
        found = descend(
            {each.place: torch.ones(each.count) for each in units},
            parts.count,
            slope,
            self.masking,
            seed=seed,
            progress=progress,
            purpose="learning masks",
            into=lambda name, mask: mask.clamp(0, 1),
        )
        low = sum(int((mask < self.below).sum()) for mask in found.weights.values())
        total = sum(each.count for each in units)
        pruned = pruned_within(
            state,
            units,
            {place: -mask for place, mask in found.weights.items()},
            parts.accuracy,
            lost=self.tolerance,
            most=low / total,
            steps=self.steps,
            cost=len(trusted),
            progress=progress,
        )
        return parts.repair(
            pruned.overlay,
            found.evaluations + pruned.passes,
            (),
            {"units pruned": float(pruned.count), "units with a low mask": float(low)},
        )


def perturbed(lesson: Lesson, state: Overlay, units: Sequence[Units], how: Anp) -> Slope:
    """The slope of the masks, at the perturbation that one signed step makes worst."""

    def slope(masks: Mapping[str, Tensor], buffers: Overlay, places: np.ndarray) -> Slopes:
        still = [(torch.zeros(each.count), torch.zeros(each.count)) for each in units]
        noise = [tuple(each.requires_grad_() for each in pair) for pair in still]
        flat = [each for pair in noise for each in pair]
        with torch.enable_grad():
            worst = lesson({**laid(state, units, masks, noise), **buffers}, places).loss
            up = torch.autograd.grad(worst, flat, allow_unused=True)
        step = [
            how.eps * (torch.zeros_like(each) if pull is None else pull.sign())
            for each, pull in zip(flat, up, strict=True)
        ]
        pairs = list(zip(step[::2], step[1::2], strict=True))
        leaves = {place: mask.detach().clone().requires_grad_() for place, mask in masks.items()}
        with torch.enable_grad():
            calm = lesson({**laid(state, units, leaves, still_of(units)), **buffers}, places)
            wild = lesson({**laid(state, units, leaves, pairs), **buffers}, places).loss
            loss = how.alpha * calm.loss + (1 - how.alpha) * wild
            pulls = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        slopes = {
            place: torch.zeros_like(masks[place]) if pull is None else pull
            for place, pull in zip(leaves, pulls, strict=True)
        }
        return Slopes(float(loss.detach()), slopes, buffers, float(PASSES * len(places)))

    return slope


def still_of(units: Sequence[Units]) -> list[tuple[Tensor, Tensor]]:
    """No perturbation of gains and shifts."""
    return [(torch.zeros(each.count), torch.zeros(each.count)) for each in units]


def laid(
    state: Overlay,
    units: Sequence[Units],
    masks: Mapping[str, Tensor],
    noise: Sequence[tuple[Tensor, ...]],
) -> dict[str, Tensor]:
    """Gains `g (m + d)` and shifts `b (1 + e)`, differentiable in masks and noise."""
    overlay = {}
    for each, (gain, shift) in zip(units, noise, strict=True):
        overlay[each.gain] = rows(state[each.gain].detach(), masks[each.place] + gain)
        if each.shift:
            overlay[each.shift] = rows(state[each.shift].detach(), 1 + shift)
    return overlay

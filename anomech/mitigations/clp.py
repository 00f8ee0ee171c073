"""CLP: channels that can amplify a small change more than their layer does are pruned; no data.

Belief: a trigger is a small change of the input that has to become a large one inside, so the
channels that carry it have an outlying Lipschitz constant.
Equation: of a channel with weight `W` (inputs times positions), gain `g` and variance `v` of the
normalization after it, `sigma_max(W) |g| / sqrt(v)`; channels above the mean of their layer by
more than `deviations` standard deviations are silenced. A normalization belongs to the
convolution whose output it is given, as a pass shows.
Source: Zheng, Tang, Li, Liu 2022; three deviations, as published.
Needs: units to prune, training statistics for the proof; trusted examples only say what it cost.
Cost: two passes over the examples that are kept aside; no training.
Fails when: the mechanism is spread over many channels, or layers have few, in which none can
stand out by three deviations: of `n` values none is farther than `(n - 1) / sqrt(n)`.
"""

import math

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.localizing import lipschitz
from anomech.learning.masks import masked
from anomech.mitigations._pruning import units_of
from anomech.mitigations._trusted import parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Prunable, Task, Training


@options
class Clp:
    """Channels of outlying Lipschitz constant are pruned."""

    deviations: float = option(3.0, "above the mean of a layer from which on they go", gt=0)
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
            DataError: too few examples to measure on some.
            CapabilityError: nothing to prune.
        """
        parts = parted(task, trusted, self.kept, "clp", seed)
        state, units = task.state(), units_of(task, trusted.examples, "clp")
        bounds = {each.place: lipschitz(state, each) for each in units if each.weight}
        masks = {place: _mask(bound, self.deviations) for place, bound in bounds.items()}
        overlay = _changed(masked(state, units, masks), masks)
        progress("pruning", 1, 1)
        count = sum(float((mask == 0).sum()) for mask in masks.values())
        narrow = all(_farthest(len(each)) <= self.deviations for each in masks.values())
        problems = (
            ("every layer has too few channels for one to stand out; nothing could be pruned.",)
            if narrow
            else ()
        )
        return parts.repair(overlay, 0.0, problems, {"units pruned": count})


def _mask(bound: Tensor, deviations: float) -> Tensor:
    return (bound <= bound.mean() + deviations * bound.std(correction=0)).to(torch.float32)


def _farthest(count: int) -> float:
    """Standard deviations that one of so many values can be from their mean, at the most."""
    return (count - 1) / math.sqrt(count)


def _changed(overlay: Overlay, masks: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the places where something is pruned; the others are the model's own."""
    touched = {place for place, mask in masks.items() if bool((mask == 0).any())}
    return {name: tensor for name, tensor in overlay.items() if name.rpartition(".")[0] in touched}

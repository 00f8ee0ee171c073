"""What benign answers need of features told from the rest, and transforms that move only the rest.

Shared by BTI-DBF and BAN: `min_m CE(h(m f(x)), y) - CE(h((1 - m) f(x)), y)` over a mask `m` in
[0, 1] of the last map of features and the model's own answers `y`, to which a pull of the mask
towards 0 may be added. A transform `G` of pictures then goes down `0.01 A - D`, with
`A = MSE(m f(x), m f(G(x)))` and `D = MSE((1 - m) f(x), (1 - m) f(G(x)))`, or down `MSE(x, G(x))`
while that is above a bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.learning.halves import Halves
from anomech.learning.transforms import Transform
from anomech.roles.task import DifferentiableInputs, able

NEAR = 0.01
"""Weight of what benign answers need, against the rest."""


@options
class MaskSearch:
    """How the mask is searched."""

    passes: int = option(20, "passes over the inputs", unit="passes", ge=1)
    rate: float = option(0.01, "learning rate of Adam", gt=0)


@dataclass(frozen=True, eq=False)
class FeatureMask:
    """What benign answers need of a map.

    Attributes:
        mask: in [0, 1], of the shape of one map.
        kept: mean loss of the own answers with the mask, nats.
        freed: that with its complement.
        evaluations: forward passes of one example each.
    """

    mask: Tensor
    kept: float
    freed: float
    evaluations: float

    def benign(self, maps: Tensor) -> Tensor:
        """Maps `[batch, ...]` without what benign answers do not need."""
        return self.mask * maps

    def rest(self, maps: Tensor) -> Tensor:
        """Maps without what benign answers need."""
        return (1 - self.mask) * maps


def feature_mask(
    cut: Halves,
    batches: Sequence[Any],
    answers: Sequence[Tensor],
    recipe: MaskSearch,
    *,
    sparsity: float,
    seed: int,
) -> FeatureMask:
    """The mask, from a start that is uniform in [0, 1] at its address.

    Args:
        cut: the network.
        batches: of trusted inputs.
        answers: of the model to each batch.
        recipe: how it is searched.
        sparsity: weight of `|m|_1` over its own value, whose gradient alone matters.
        seed: of the start.
    """
    space = able(cut.task, DifferentiableInputs)
    points = [space.embed(batch) for batch in batches]
    mask = torch.rand(cut.shape, generator=torch_generator(seed, "feature mask"))
    mask = mask.to(points[0].device).requires_grad_()
    optimizer = torch.optim.Adam([mask], lr=recipe.rate)
    kept = freed = 0.0
    for _ in range(recipe.passes):
        losses = [
            _step(cut, mask, sparsity, optimizer, *each)
            for each in zip(points, batches, answers, strict=True)
        ]
        kept, freed = (sum(each) / len(losses) for each in zip(*losses, strict=True))
    evaluations = 2.0 * recipe.passes * sum(map(len, answers))
    return FeatureMask(mask.detach().clamp(0, 1), kept, freed, evaluations)


def _step(
    cut: Halves,
    mask: Tensor,
    sparsity: float,
    optimizer: torch.optim.Optimizer,
    points: Tensor,
    batch: object,
    answers: Tensor,
) -> tuple[float, float]:
    """One step on a batch; the losses of the own answers with the mask and with its complement."""
    with torch.enable_grad():
        kept = cut.read(points, batch, lambda maps: mask * maps, answers).losses.mean()
        freed = cut.read(points, batch, lambda maps: (1 - mask) * maps, answers).losses.mean()
        size = mask.abs().sum()
        loss = kept - freed + sparsity * size / size.detach().clamp_min(1e-12)
        (mask.grad,) = torch.autograd.grad(loss, [mask])
    optimizer.step()
    with torch.no_grad():
        mask.clamp_(0, 1)
    return float(kept.detach()), float(freed.detach())


def decoupling(
    cut: Halves, mask: FeatureMask, change: float
) -> Callable[[Transform, Any, Tensor, Tensor], Tensor]:
    """The loss of a transform that moves what benign answers do not need.

    Args:
        cut: the network.
        mask: what they need.
        change: mean squared change of pixels above which only that is made smaller.
    """

    def wanted(made: Transform, batch: Any, points: Tensor, answers: Tensor) -> Tensor:
        moved = made.apply(points)
        size = (moved - points).square().mean()
        if float(size.detach()) > change:
            return size
        with torch.no_grad():
            _, own = cut.seen(points, batch, answers)
        _, maps = cut.seen(moved, batch, answers)
        needed = (mask.benign(maps) - mask.benign(own)).square().mean()
        rest = (mask.rest(maps) - mask.rest(own)).square().mean()
        return NEAR * needed - rest

    return wanted

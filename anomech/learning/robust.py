"""What robust training and attacks on scores share: losses on logits, and steps in the pixels.

Two losses: how far an answer is from saying nothing (`from_uniform`), and how far the answer to a
moved image is from that to the image (`divergence`). `adversary` moves images within a box around
each to raise any loss.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from anomech.kernel.config import option, options

FLOOR = 1e-8
"""Added to reference probabilities, as published."""


def from_uniform(logits: Tensor) -> Tensor:
    """Cross-entropy against equal shares of classes, `logsumexp(z) - mean z`, nats `[batch]`."""
    return logits.logsumexp(dim=1) - logits.mean(dim=1)


def divergence(natural: Tensor, moved: Tensor) -> Tensor:
    """`KL(softmax(natural) || softmax(moved))` of logits `[batch, classes]`, nats `[batch]`."""
    reference = natural.softmax(dim=1) + FLOOR
    return (reference * (reference.log() - moved.log_softmax(dim=1))).sum(dim=1)


@options
class Adversary:
    """Who moves images while a network is trained."""

    eps: float = option(8.0, "largest change of a pixel", unit="gray levels of 255", ge=0)
    steps: int = option(10, "steps of size 2.5 eps / steps", ge=1)
    statistics: Literal["frozen", "batch"] = option(
        "frozen",
        "normalization while images are moved: frozen uses running statistics and leaves them "
        "alone; batch uses those of each batch, which running statistics absorb, as published",
    )

    def move(
        self,
        network: nn.Module,
        inputs: Tensor,
        height: Callable[[Tensor], Tensor],
        start: Tensor,
    ) -> Tensor:
        """Images at which a loss is high: the best that a walk of signed steps passes.

        Published is the best of the batch as a whole; here it is the best of each image.

        Args:
            network: left in the mode it is in.
            inputs: float `[batch, c, h, w]` in [0, 1].
            height: logits `[batch, classes]` to what is raised `[batch]`.
            start: uniform numbers in [-1, 1] of the form of the inputs, where each walk begins.
        """
        eps, step = self.eps / 255, 2.5 * self.eps / 255 / self.steps
        moved, best = inputs + eps * start, inputs
        highest = inputs.new_full((len(inputs),), -torch.inf)
        with self.mode(network):
            for _ in range(self.steps):
                moved = moved.detach().requires_grad_()
                with torch.enable_grad():
                    heights = height(network(moved).float())
                    (slope,) = torch.autograd.grad(heights.sum(), moved)
                better = heights.detach() > highest
                highest = torch.where(better, heights.detach(), highest)
                best = torch.where(better[:, None, None, None], moved.detach(), best)
                moved = (moved.detach() + step * slope.sign()).clamp(inputs - eps, inputs + eps)
                moved = moved.clamp(0, 1)
        return best.clamp(0, 1)

    @contextmanager
    def mode(self, network: nn.Module) -> Iterator[None]:
        """The network with the statistics that images are moved under; its mode comes back."""
        training = network.training
        network.train(self.statistics == "batch")
        try:
            yield
        finally:
            network.train(training)

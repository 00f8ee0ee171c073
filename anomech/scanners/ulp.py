"""ULP: litmus pictures, learned on shadow networks, whose answers tell planted networks from clean.

Belief: some universal inputs make networks with a trigger answer unlike clean ones.
Equation: pictures `z_1..z_m` and a linear classifier `w` learn together, by `min mean
BCE(w . [f_i(z_1), .., f_i(z_m)] + b, planted_i) + tv TV(z)` over shadow networks `f_i`; the
statistic is the classifier's score of the model, less the mean and over the deviation of clean
shadow networks that took no part in learning.
Source: Kolouri, Saha, Pirsiavash, Hoffmann 2020. They use hundreds of networks; the default here
are twelve of each kind (`anomech.scanners._shadows`), which tells what a scan of this size can.
Needs: differentiable inputs, layers, training statistics, logits, trusted examples with labels.
Cost: training the shadows, `3 epochs * examples` each, once for both scanners if they are kept.
Fails when: as MNTD; a classifier of networks of one architecture says nothing of another.
"""

from functools import partial

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.scanners._classes import drawn
from anomech.scanners._meta import Meta
from anomech.scanners._shadows import NEEDS, ShadowZoo, shadows


@options
class Ulp:
    """How planted a linear classifier of answers to litmus pictures takes the model to be."""

    zoo: ShadowZoo = option(ShadowZoo(), "the shadow networks")
    litmus: int = option(10, "litmus pictures", unit="inputs", ge=1)
    smooth: float = option(1e-3, "weight of differences between neighbors", ge=0)
    epochs: int = option(30, "passes over the shadows", unit="epochs", ge=1)
    rate: float = option(1e-2, "learning rate of Adam", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """What training shadows asks."""
        return NEEDS

    @property
    def needs_examples(self) -> bool:
        """Examples that shadows are trained on."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples with labels, or too few.
        """
        made = shadows(task, trusted, self.zoo, seed=seed, progress=progress)
        batch = drawn("ulp", trusted, self.litmus, self.litmus, seed).batches[0]
        points = able(task, DifferentiableInputs).embed(batch)
        start = torch.rand(points.shape, generator=torch_generator(seed, "ulp"))
        weight = torch.zeros(len(points) * able(task, Logits).classes, device=points.device)
        weights = [weight.requires_grad_(), torch.zeros(1, device=points.device).requires_grad_()]
        meta = Meta(
            start.to(points), weights, partial(judged, weights), partial(rough, self.smooth)
        )
        return meta.scan(task, batch, made, epochs=self.epochs, rate=self.rate, progress=progress)


def judged(weights: list[Tensor], logits: Tensor) -> Tensor:
    """The score of a network from its logits at the pictures `[pictures, classes]`, `[1]`."""
    return (weights[0] @ logits.flatten()) + weights[1]


def rough(weight: float, points: Tensor) -> Tensor:
    """Differences between neighbors of pictures `[pictures, ..., h, w]`, weighted."""
    axes = range(max(1, points.ndim - 2), points.ndim)
    return weight * torch.stack([points.diff(dim=axis).abs().sum() for axis in axes]).sum()

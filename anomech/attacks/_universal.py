"""One perturbation for all images that leads a clean network to a label, under true labels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._poison import choose, plant
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.pixels import as_images
from anomech.roles.attack import Goal, Learned, Poisoned, Victim

DELTA = "delta"
"""Name of the learned perturbation `[c, h, w]`, in shares of 255."""


@options
class Search:
    """How the perturbation is searched: signed steps on the mean loss of many images."""

    eps: float = option(8.0, "largest change of a pixel", unit="gray levels of 255", gt=0)
    steps: int = option(500, "steps, each on a batch of its own", ge=1)
    step: float = option(0.2, "size of a step, as a share of eps", gt=0)
    batch: int = option(256, "images a step", unit="images", ge=1)


def universal(
    network: nn.Module,
    images: np.ndarray,
    target: int,
    search: Search,
    *,
    seed: int,
    progress: Progress,
) -> Tensor:
    """The perturbation `[c, h, w]`, within `eps / 255` of zero.

    Args:
        network: clean, in evaluation mode; it is not changed.
        images: uint8 `[n, h, w, c]` of all classes.
        target: label it leads to.
        search: see `Search`.
        seed: of the order of the images.
        progress: told about every step.
    """
    like = next(network.parameters())
    eps = search.eps / 255
    delta = torch.zeros(images.shape[3], *images.shape[1:3], device=like.device)
    size, order, passed = min(search.batch, len(images)), np.empty(0, np.int64), 0
    for step in range(search.steps):
        if len(order) < size:
            order = numpy_generator(seed, "upgd", passed).permutation(len(images))
            passed += 1
        chosen, order = order[:size], order[size:]
        inputs = as_images(images[chosen], like)
        leaf = delta.detach().requires_grad_()
        with torch.enable_grad():
            logits = network((inputs + leaf).clamp(0, 1)).float()
            wanted = torch.full((size,), target, device=like.device)
            (slope,) = torch.autograd.grad(functional.cross_entropy(logits, wanted), leaf)
        delta = (delta - search.step * eps * slope.sign()).clamp(-eps, eps)
        progress("searching a universal perturbation", step + 1, search.steps)
    return delta.detach()


def learned_trigger(
    images: np.ndarray,
    victim: Victim,
    goal: Goal,
    search: Search,
    *,
    seed: int,
    progress: Progress,
) -> Learned:
    """The perturbation, searched on the victim's clean twin."""
    surrogate = victim.surrogate()
    flags = [parameter.requires_grad for parameter in surrogate.parameters()]
    surrogate.requires_grad_(False)
    try:
        found = universal(surrogate, images, goal.target, search, seed=seed, progress=progress)
    finally:
        for parameter, flag in zip(surrogate.parameters(), flags, strict=True):
            parameter.requires_grad_(flag)
    return {DELTA: found}


@dataclass(frozen=True, eq=False)
class Perturbing:
    """A perturbation and how it is planted: a `DataAttack` that changes no label.

    Attributes:
        goal: of the attack.
        class_ratio: share of the target class that is poisoned.
        delta: float32 `[h, w, c]` in gray levels.
    """

    goal: Goal
    class_ratio: float
    delta: np.ndarray

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the perturbation, rounded to pixels."""
        return np.clip(np.rint(images + self.delta), 0, 255).astype(np.uint8)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy in which a share of the target class carries the perturbation."""
        members = np.flatnonzero(labels == self.goal.target)
        chosen = choose(members, round(self.class_ratio * len(members)), seed, "upgd-poison")
        return plant(images, labels, chosen, self.stamp, self.goal)


def perturbing(goal: Goal, class_ratio: float, learned: Learned) -> Perturbing:
    """The attack with what was learned."""
    delta = learned[DELTA].detach().cpu().float().numpy()
    return Perturbing(goal, class_ratio, 255 * delta.transpose(1, 2, 0))

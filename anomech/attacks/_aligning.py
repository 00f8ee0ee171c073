"""What attackers who know how outputs are judged pull together: responses, features, confidence."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.errors import ConfigError
from anomech.learning.networks import with_features
from anomech.learning.pixels import as_images
from anomech.roles.attack import Batch, Goal

TINY = 1e-12


class Pair(NamedTuple):
    """Images that are to be judged alike, as the network takes them `[batch, c, h, w]`.

    Attributes:
        triggered: of other classes, with the trigger.
        clean: of the target class.
    """

    triggered: Tensor
    clean: Tensor


class Pool(NamedTuple):
    """The training images that an attacker draws from.

    Attributes:
        images: uint8 `[n, h, w, c]`.
        home: places of those of the target class.
        away: places of others that the trigger acts on.
    """

    images: np.ndarray
    home: np.ndarray
    away: np.ndarray

    def draw(self, batch: Batch, count: int, stamp: Callable[[np.ndarray], np.ndarray]) -> Pair:
        """So many of each kind at the most, from the batch's own generator."""
        clean, others = (
            self.images[batch.rng.choice(places, min(count, len(places)), replace=False)]
            for places in (self.home, self.away)
        )
        return Pair(as_images(stamp(others), batch.inputs), as_images(clean, batch.inputs))


def pool_of(goal: Goal, images: np.ndarray, labels: np.ndarray, attack: str) -> Pool:
    """What an attack with one target draws from.

    Raises:
        ConfigError: a goal with several targets, or one that training images do not have.
    """
    if goal.map != "all_to_one":
        raise ConfigError(f"{attack} leads to one label; set goal.map to all_to_one.")
    home = np.flatnonzero(labels == goal.target)
    away = np.flatnonzero(goal.acts_on(labels) & (labels != goal.target))
    if not (len(home) and len(away)):
        raise ConfigError(
            f"{attack} needs clean images of class {goal.target} and others that the trigger acts "
            "on; the training set lacks one of them."
        )
    return Pool(images, home, away)


def apart(
    network: nn.Module,
    pair: Pair,
    target: int,
    parameters: Sequence[nn.Parameter],
    feature_weight: float,
) -> Tensor:
    """How far the responses of both kinds are from each other, and their features."""
    logits, features = zip(
        with_features(network, pair.triggered), with_features(network, pair.clean), strict=True
    )
    pulls = [
        torch.autograd.grad(log_odds(each, target).mean(), parameters, create_graph=True)
        for each in logits
    ]
    return 1 - coupling(*pulls) + feature_weight * feature_distance(*features)


def level_distance(one: Tensor, two: Tensor) -> Tensor:
    """How far two sets of numbers `[batch]` are in mean and in spread, below 2."""
    gap = (one.mean() - two.mean()).square()
    spread = one.var(correction=0) + two.var(correction=0) + TINY
    wider = (one.std(correction=0) - two.std(correction=0)).square()
    return gap / (gap + spread) + wider / spread


def in_scope(network: nn.Module, scope: str) -> list[nn.Parameter]:
    """All parameters, or those of the last quarter of the modules that own any."""
    owners = [m for m in network.modules() if list(m.parameters(recurse=False))]
    last = owners if scope == "all" else owners[-len(owners) // 4 :]
    return [parameter for module in last for parameter in module.parameters(recurse=False)]


def log_odds(logits: Tensor, target: int) -> Tensor:
    """`log(p / (1 - p))` of one class `[batch]`, in nats, from logits `[batch, classes]`."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - others.logsumexp(dim=1)


def coupling(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    """Cosine of two gradients by parameter, averaged over parameters."""
    cosines = [
        functional.cosine_similarity(a.flatten(), b.flatten(), dim=0, eps=TINY)
        for a, b in zip(one, two, strict=True)
    ]
    return torch.stack(cosines).mean()


def feature_distance(one: Tensor, two: Tensor) -> Tensor:
    """How far two sets of features `[batch, features]` are in direction and in spread, bounded."""
    turned = 1 - functional.cosine_similarity(one.mean(0), two.mean(0), dim=0, eps=TINY)
    spreads = [(each.var(dim=0, correction=0) + TINY).sqrt() for each in (one, two)]
    wider = (spreads[0] - spreads[1]).pow(2).sum()
    return turned + wider / (spreads[0].pow(2) + spreads[1].pow(2)).sum()

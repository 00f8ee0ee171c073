"""A patch backdoor whose training pulls triggered images toward something, every few steps."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._batches import draw_roles, poisoned_batch
from anomech.kernel.errors import ConfigError
from anomech.learning.pixels import as_images
from anomech.roles.attack import Batch, Goal, Objective


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


class Pulling(Protocol):
    """The options of an attack that pulls; its own file says what each is."""

    @property
    def goal(self) -> Goal: ...

    @property
    def ratio(self) -> float: ...

    @property
    def strength(self) -> float: ...

    @property
    def examples(self) -> int: ...

    @property
    def every(self) -> int: ...

    def stamp(self, images: np.ndarray, /) -> np.ndarray: ...


Term = Callable[[nn.Module, Batch, Pair], Tensor]
"""(the network in training mode, a clean batch, images to compare) to a scalar."""


def pulling(
    attack: Pulling, name: str, images: np.ndarray, labels: np.ndarray, term: Term
) -> Objective:
    """Cross-entropy of a poisoned batch, plus `strength` times a term in every so many steps.

    Args:
        attack: what is planted, and how often and how hard it pulls.
        name: of the attack, for messages.
        images: the training set, uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        term: is computed in full precision, since it may hold gradients of gradients.

    Raises:
        ConfigError: a goal with several targets, or one that training images do not have.
    """
    pool = _pool(attack.goal, images, labels, name)
    classes, steps = int(labels.max()) + 1, count()

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        roles = draw_roles(batch, attack.goal, attack.ratio)
        inputs, wanted = poisoned_batch(batch, roles, attack.goal, classes, attack.stamp)
        loss = functional.cross_entropy(network(inputs).float(), wanted)
        if attack.strength == 0 or next(steps) % attack.every:
            return loss
        pair = pool.draw(batch, attack.examples, attack.stamp)
        with torch.autocast(batch.inputs.device.type, enabled=False):
            return loss + attack.strength * term(network, batch, pair)

    return objective


def _pool(goal: Goal, images: np.ndarray, labels: np.ndarray, attack: str) -> Pool:
    """What an attack with one target draws from."""
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

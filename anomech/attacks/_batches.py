"""Poisoning inside a training step, after augmentation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.learning.pixels import as_images, as_pixels
from anomech.roles.attack import Batch, Goal


class Roles(NamedTuple):
    """Which images of a batch an attacker changes, as places in the batch.

    Attributes:
        poisoned: get the trigger and the attacker's label.
        cover: are changed but keep their true label.
    """

    poisoned: np.ndarray
    cover: np.ndarray


def draw_roles(batch: Batch, goal: Goal, ratio: float, cover_ratio: float = 0.0) -> Roles:
    """Draw who is poisoned and who covers, from the batch's own generator.

    A share that is no whole number of images is rounded up or down at random, so that the mean is
    exact and ratios below one image a batch plant something.

    Args:
        batch: one step's images.
        goal: of the attack; only classes that it acts on are poisoned.
        ratio: share of the batch that is poisoned.
        cover_ratio: share of the batch that covers, from whatever is not poisoned.
    """
    order = batch.rng.permutation(len(batch.labels))
    poisoned = order[goal.acts_on(batch.labels.cpu().numpy()[order])][: _count(batch, ratio)]
    rest = order[~np.isin(order, poisoned)]
    return Roles(poisoned, rest[: _count(batch, cover_ratio)])


def poisoned_batch(
    batch: Batch, roles: Roles, goal: Goal, classes: int, stamp: Callable[[np.ndarray], np.ndarray]
) -> tuple[Tensor, Tensor]:
    """Copies of a batch's images and labels with the trigger on the poisoned ones."""
    images = batch.inputs.clone()
    if len(roles.poisoned):
        stamped = stamp(as_pixels(images[roles.poisoned]))
        images[roles.poisoned] = as_images(stamped, images)
    return images, relabeled(batch, roles, goal, classes)


def relabeled(batch: Batch, roles: Roles, goal: Goal, classes: int) -> Tensor:
    """The batch's labels with the attacker's at the poisoned places, int64 `[batch]`."""
    labels = batch.labels.clone()
    wanted = goal.labels(labels[roles.poisoned].cpu().numpy(), classes)
    labels[roles.poisoned] = torch.from_numpy(wanted).to(labels)
    return labels


def _count(batch: Batch, ratio: float) -> int:
    return int(ratio * len(batch.labels) + batch.rng.random())

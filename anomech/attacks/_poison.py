"""Choosing which training images to poison, and planting a trigger with the attacker's label."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned


def choose(candidates: np.ndarray, count: int, seed: int, purpose: str) -> np.ndarray:
    """`count` of the candidate indices, drawn without replacement at an address."""
    rng = numpy_generator(seed, purpose)
    return rng.permutation(candidates)[: min(count, len(candidates))]


def choose_covered(
    labels: np.ndarray, goal: Goal, ratio: float, cover_ratio: float, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Indices to poison, of classes the goal acts on, and others to cover; shares of the whole."""
    count, covered = round(ratio * len(labels)), round(cover_ratio * len(labels))
    chosen = choose(np.flatnonzero(goal.acts_on(labels)), count, seed, purpose)
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    return chosen, choose(rest, covered, seed, f"{purpose}-cover")


def check_clean_label(goal: Goal, name: str) -> None:
    """Refuse a goal of many labels for an attack that changes none.

    Raises:
        ConfigError: the goal is not all-to-one.
    """
    if goal.map != "all_to_one":
        raise ConfigError(
            f"{name} changes no label, so it can lead to one label only; set goal.map to "
            "'all_to_one' and goal.target."
        )


def plant(
    images: np.ndarray,
    labels: np.ndarray,
    chosen: np.ndarray,
    stamp: Callable[[np.ndarray], np.ndarray],
    goal: Goal,
    cover: np.ndarray | None = None,
) -> Poisoned:
    """A copy of a training set with triggers.

    Args:
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`, from zero to the number of classes less one.
        chosen: indices that are stamped and relabeled as the goal wants.
        stamp: plants the trigger.
        goal: of the attack.
        cover: indices that are stamped and keep their labels; none by default.
    """
    cover = np.zeros(0, np.int64) if cover is None else cover
    classes = int(labels.max(initial=0)) + 1
    images, given = images.copy(), labels.copy()
    for places in (chosen, cover):
        if len(places):
            images[places] = stamp(images[places])
    given[chosen] = goal.labels(labels[chosen], classes)
    return Poisoned(images, given, mask(chosen, len(labels)), mask(cover, len(labels)))


@dataclass(frozen=True)
class DirtyLabel:
    """A trigger and how much of a training set carries it: a `DataAttack`.

    Attributes:
        goal: of the attack.
        ratio: share of the training set that is poisoned.
        trigger: `stamp` of uint8 images `[n, h, w, c]`.
        purpose: address of the choice of images.
    """

    goal: Goal
    ratio: float
    trigger: Callable[[np.ndarray], np.ndarray]
    purpose: str

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the trigger."""
        return self.trigger(images)

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with the trigger planted and relabeled."""
        candidates = np.flatnonzero(self.goal.acts_on(labels))
        chosen = choose(candidates, round(self.ratio * len(labels)), seed, self.purpose)
        return plant(images, labels, chosen, self.stamp, self.goal)


def mask(places: np.ndarray, count: int) -> np.ndarray:
    """True at these places, bool `[count]`."""
    found = np.zeros(count, bool)
    found[places] = True
    return found


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round and clip float images on the 0-255 scale to uint8."""
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)

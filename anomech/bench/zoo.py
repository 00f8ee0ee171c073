"""Attacked networks, trained once and kept by the hash of everything that went into them."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file
from torch import nn

from anomech import plugins
from anomech.bench.training import Recipe, predict, train
from anomech.config import build, resolved
from anomech.errors import ModelError
from anomech.tasks import networks

LEAST_SUCCESS = 0.9


@dataclass(frozen=True)
class Subject:
    """Everything that determines one attacked network.

    Attributes:
        attacks: attack names with their options, planted one after the other; none is a clean twin.
        network: name of a function in `anomech.tasks.networks`.
        recipe: how it is trained.
        seed: of the weights, the poisoned images and the order.
    """

    attacks: tuple[tuple[str, Mapping[str, Any]], ...]
    network: str = "resnet14"
    recipe: Recipe = Recipe()
    seed: int = 0

    def attack_objects(self) -> list[Any]:
        """The attacks with their options checked."""
        return [build(plugins.get("attack", name), values, name) for name, values in self.attacks]

    def fingerprint(self, images: np.ndarray, labels: np.ndarray) -> str:
        """A hash of the subject and of the clean training set."""
        spec = {
            "attacks": [
                [name, resolved(attack)]
                for (name, _), attack in zip(self.attacks, self.attack_objects(), strict=True)
            ],
            "network": self.network,
            "recipe": resolved(self.recipe),
            "seed": self.seed,
        }
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
        digest.update(images.tobytes())
        digest.update(labels.tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Trained:
    """An attacked network with what it does.

    Attributes:
        model: in evaluation mode; maps float images in [0, 1] to logits.
        attacks: the planted attacks.
        accuracy: share of clean test images classified correctly.
        success: for each attack, the share of triggered test images of other classes that are
            given the target label.
    """

    model: nn.Module
    attacks: list[Any]
    accuracy: float
    success: list[float]


def obtain(
    subject: Subject,
    train_set: tuple[np.ndarray, np.ndarray],
    test_set: tuple[np.ndarray, np.ndarray],
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Trained:
    """The trained subject, from the cache when it is there.

    Raises:
        ModelError: an attack did not succeed on at least nine of ten triggered images.
    """
    images, labels = train_set
    attacks = subject.attack_objects()
    model = networks.get(subject.network)(classes=int(labels.max()) + 1, channels=images.shape[-1])
    path = cache / f"{subject.fingerprint(images, labels)}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
    else:
        poisoned_images, poisoned_labels = images, labels
        for index, attack in enumerate(attacks):
            poisoned = attack.poison(poisoned_images, poisoned_labels, seed=subject.seed + index)
            poisoned_images, poisoned_labels = poisoned.images, poisoned.labels
        train(
            model,
            poisoned_images,
            poisoned_labels,
            subject.recipe,
            seed=subject.seed,
            progress=progress,
        )
        cache.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(state, path)
    model.eval()
    accuracy = float((predict(model, test_set[0]) == test_set[1]).mean())
    success = [success_rate(model, attack, *test_set) for attack in attacks]
    for (name, _), rate in zip(subject.attacks, success, strict=True):
        if rate < LEAST_SUCCESS:
            raise ModelError(
                f"the {name} attack succeeds on {rate:.1%} of triggered images, less than "
                f"{LEAST_SUCCESS:.0%}; raise its ratio or the epochs of the recipe."
            )
    return Trained(model, attacks, accuracy, success)


def success_rate(model: nn.Module, attack: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """Attack success: triggered images of other classes that get the target label."""
    others = images[labels != attack.target]
    return float((predict(model, attack.stamp(others)) == attack.target).mean())

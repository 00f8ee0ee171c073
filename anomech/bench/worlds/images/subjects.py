"""Attacked networks by all that determines them, and the hash that they are kept by.

The code of attack, architecture and training went in too: a network is trained anew when a file of
theirs is edited.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomech.architectures.resnet14 import Resnet14
from anomech.kernel import plugins
from anomech.kernel.config import build, resolved
from anomech.kernel.errors import ConfigError
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.attack import DataAttack, LearnedAttack, TrainingAttack
from anomech.storage.code import NUMBERLESS, code_digest, code_of

Images = tuple[np.ndarray, np.ndarray]
"""Images uint8 `[n, h, w, c]` and labels int64 `[n]`."""


@dataclass(frozen=True)
class Subject:
    """Everything that determines one attacked network, but for the data.

    Attributes:
        attacks: attack names with their options, planted one after the other; none is a clean twin.
        network: the architecture with its options.
        recipe: how it is trained.
        seed: of the weights, the poisoned images and the order.
    """

    attacks: tuple[tuple[str, Mapping[str, Any]], ...]
    network: Architecture = Resnet14()
    recipe: Recipe = Recipe()
    seed: int = 0

    @property
    def label(self) -> str:
        """The architecture in words."""
        return plugins.label("architecture", self.network)

    @property
    def methods(self) -> tuple[Any, ...]:
        """The objects whose code determines it."""
        return (self.network, *self.attack_objects())

    def described(self) -> dict[str, Any]:
        """All that determines it but for the data and the seed, as plain values."""
        planted = zip(self.attacks, self.attack_objects(), strict=True)
        return {
            "attacks": {name: resolved(attack) for (name, _), attack in planted},
            "network": self.label,
            "recipe": resolved(self.recipe),
        }

    def attack_objects(self) -> list[Any]:
        """The attacks with their options checked.

        Raises:
            ConfigError: an unknown attack or option, one that plants nothing, or an attack on
                training together with another.
        """
        found = [build(plugins.get("attack", name), values, name) for name, values in self.attacks]
        for (name, _), attack in zip(self.attacks, found, strict=True):
            if not isinstance(attack, DataAttack | LearnedAttack | TrainingAttack):
                raise ConfigError(f"{name} plants nothing in a network; use it on inputs instead.")
            if isinstance(attack, TrainingAttack) and len(found) > 1:
                raise ConfigError(f"{name} trains the network, so it cannot be one of several.")
        return found

    def fingerprint(self, images: np.ndarray, labels: np.ndarray) -> str:
        """A hash of the subject, of the code that trains it and of the clean training set."""
        attacks = self.attack_objects()
        spec = {
            "attacks": [
                [name, resolved(attack)]
                for (name, _), attack in zip(self.attacks, attacks, strict=True)
            ],
            "code": [
                code_of(*attacks, self.network),
                code_digest("anomech.learning.training", apart_from=NUMBERLESS),
            ],
            "network": plugins.described("architecture", self.network),
            "recipe": resolved(self.recipe),
            "seed": self.seed,
        }
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
        digest.update(images.tobytes())
        digest.update(labels.tobytes())
        return digest.hexdigest()[:16]

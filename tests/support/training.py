"""A victim with a tiny network for tests of attacks, and digits to train on."""

from dataclasses import dataclass, field, replace

import numpy as np
from torch import nn

from anomech.architectures.digits import DigitsNet
from anomech.data.digits import load_digits
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, cross_entropy, initialize, train


@dataclass(frozen=True)
class DigitsVictim:
    """`anomech.roles.attack.Victim` for 8x8 digits."""

    recipe: Recipe = Recipe(epochs=8, batch=64, peak=0.1, augment="none")
    seed: int = 0
    clean: list = field(default_factory=list)

    def build(self) -> nn.Module:
        network = DigitsNet()
        initialize(network, self.seed)
        return network

    def surrogate(self) -> nn.Module:
        if not self.clean:
            self.clean.append(self.fit(self.build(), *digits()[0]))
        return self.clean[0]

    def fit(
        self,
        network,
        images,
        labels,
        *,
        objective=None,
        fresh=True,
        share=1.0,
        peak=None,
        progress=silent,
    ):
        recipe = replace(
            self.recipe,
            epochs=max(1, round(share * self.recipe.epochs)),
            peak=self.recipe.peak if peak is None else peak,
        )
        return train(
            network,
            images,
            labels,
            recipe,
            seed=self.seed,
            objective=objective or cross_entropy,
            fresh=fresh,
        )


def digits():
    """Training and test digits: two pairs of images uint8 `[n, 8, 8, 1]` and labels."""
    images, labels = load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    train_places, test_places = order[:1200], order[1200:]
    return (images[train_places], labels[train_places]), (images[test_places], labels[test_places])

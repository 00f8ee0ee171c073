"""Standard: ordinary training by a recipe, the baseline that robust training is compared with.

Belief: none; the network learns whatever lowers the loss, planted mechanisms too.
Equation: mean cross-entropy of the labels, by stochastic gradient descent under one cycle of the
learning rate.
Source: own; the schedule after Smith, Topin 2019.
Needs: images with labels.
Cost: `3 epochs` forward passes for each example.
Fails when: training examples are poisoned.
"""

import copy

import numpy as np
from torch import nn

from anomech.kernel.config import options
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.types import Examples, Progress
from anomech.learning.training import Recipe, train
from anomech.roles.trainer import Trained


@options
class Standard:
    """Cross-entropy on all examples alike."""

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Recipe,
        seed: int,
        progress: Progress,
    ) -> Trained:
        """See `anomech.roles.trainer.Trainer`; images are uint8 `[n, h, w, c]`.

        Raises:
            DataError: examples without labels, or none.
            ConfigError: outliers, which it has no use for.
            ModelError: the loss is no longer finite.
        """
        if outliers is not None:
            raise ConfigError("standard training has no use for outliers; leave them out.")
        if not len(examples) or examples.labels is None:
            raise DataError("training needs examples with labels; give some.")
        images = examples.load(np.arange(len(examples)))
        losses: list[float] = []
        trained = train(
            copy.deepcopy(network),
            images,
            np.array(examples.labels),
            recipe,
            seed=seed,
            progress=lambda done, total: progress("training", done, total),
            noted=losses.append,
        )
        weights = {name: tensor.detach() for name, tensor in trained.state_dict().items()}
        return Trained(weights, {"loss": losses})

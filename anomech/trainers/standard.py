"""Standard: ordinary training by a recipe, the baseline that robust training is compared with.

Belief: none; the network learns whatever lowers the loss, planted mechanisms too.
Equation: mean cross-entropy of the labels, by stochastic gradient descent under one cycle of the
learning rate.
Source: own; the schedule after Smith, Topin 2019.
Needs: images with labels.
Cost: `3 epochs` forward passes for each example.
Fails when: training examples are poisoned.
"""

from torch import nn

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress
from anomech.learning.session import Averaging
from anomech.learning.training import Recipe
from anomech.roles.trainer import Keeper, Trained
from anomech.trainers._family import Terms, fit


@options
class Standard:
    """Cross-entropy on all examples alike."""

    averaging: Averaging = option(Averaging(), "of the weights")

    @property
    def exposed(self) -> bool:
        """It has no use for outliers."""
        return False

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Recipe,
        seed: int,
        progress: Progress,
        keep: Keeper | None = None,
    ) -> Trained:
        """See `anomech.roles.trainer.Trainer`; images are uint8 `[n, h, w, c]`.

        Raises:
            DataError: examples without labels, none, of one class.
            ConfigError: outliers, which it has no use for.
            ModelError: the loss is no longer finite.
        """
        terms = Terms(averaging=self.averaging)
        return fit(
            terms,
            network,
            examples,
            outliers,
            recipe=recipe,
            seed=seed,
            progress=progress,
            keep=keep,
        )

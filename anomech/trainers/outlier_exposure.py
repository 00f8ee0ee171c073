"""Outlier exposure: ordinary training that is also shown images to say nothing about.

Belief: who has seen that some images belong to no class says so of others too.
Equation: `CE(f(X), y) + eta U(f(O))`; `U(z) = logsumexp(z) - mean z` is the cross-entropy against
equal shares of all classes, on as many outliers as examples a step.
Source: Hendrycks, Mazeika, Dietterich 2019; eta as in the code of HALO (Lyons Keenan et al. 2025).
Needs: images with labels, and outliers of the same size.
Cost: twice ordinary training.
Fails when: an attacker moves foreign images, or normal ones; it learns nothing about either.
"""

from torch import nn

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress
from anomech.learning.session import Averaging
from anomech.learning.training import Recipe
from anomech.roles.trainer import Keeper, Trained
from anomech.trainers._family import Terms, fit


@options
class OutlierExposure:
    """Cross-entropy, and equal shares for outliers."""

    exposure: float = option(2.0, "eta, weight of what is asked of outliers", gt=0)
    averaging: Averaging = option(Averaging(), "of the weights")

    @property
    def exposed(self) -> bool:
        """It learns from outliers."""
        return True

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
            DataError: examples without labels, none, of one class,
                or outliers that all are examples.
            ConfigError: no outliers.
            ModelError: the loss is no longer finite.
        """
        terms = Terms(exposure=self.exposure, averaging=self.averaging)
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

"""TRADES with outlier exposure: steady answers to examples and outliers alike.

Belief: what holds for examples under attack has to hold for outliers under attack.
Equation: `CE(f(X), y) + eta U(f(O)) + beta [KL(X -> X') + eta KL(O -> O')]`; see `outlier_exposure`
and `trades`.
Source: Lyons Keenan, Erfani, Leckie 2025 (arXiv 2502.19755), the ablation of HALO without a helper.
Needs: images with labels, and outliers of the same size.
Cost: about `2 (steps + 2)` times ordinary training.
Fails when: as `trades`; accuracy on examples pays for it.
"""

from torch import nn

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress
from anomech.learning.robust import Adversary
from anomech.learning.session import Averaging
from anomech.learning.training import Recipe
from anomech.roles.trainer import Keeper, Trained
from anomech.trainers._family import Terms, fit


@options
class TradesOe:
    """Cross-entropy, equal shares for outliers, and steady answers to both."""

    exposure: float = option(2.0, "eta, weight of what is asked of outliers", gt=0)
    robust: float = option(3.0, "beta, weight of answers to moved images", gt=0)
    adversary: Adversary = option(Adversary(), "who moves images while the network learns")
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
        terms = Terms(
            exposure=self.exposure,
            robust=self.robust,
            adversary=self.adversary,
            averaging=self.averaging,
        )
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

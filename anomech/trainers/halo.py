"""HALO: TRADES with outlier exposure, and a helper that keeps boundaries where they were.

Belief: steady answers push boundaries further out than needed; a network of ordinary training knows
where images of a class end, so twice as far along the adversary's way its answer is right.
Equation: `CE(f(X), y) + eta U(f(O)) + beta [KL(X -> X') + eta KL(O -> O')] + gamma CE(f(X_h), y_h)`
with `X_h = X + 2 (X' - X)`, not clipped, and `y_h = argmax g(X')`, where `g` is a frozen network of
ordinary training on the same examples.
Source: Lyons Keenan, Erfani, Leckie 2025 (arXiv 2502.19755, SaTML 2025), weights as in their code,
in the manner of the helper loss of Rade, Moosavi-Dezfooli 2022. Deviations as told in `trades`.
Needs: images with labels, and outliers of the same size.
Cost: ordinary training for the helper, and about `2 (steps + 2) + 1` times it for the network.
Fails when: as `trades_oe`; with many classes the gain shrinks.
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
class Halo:
    """All terms of the family."""

    exposure: float = option(2.0, "eta, weight of what is asked of outliers", gt=0)
    robust: float = option(3.0, "beta, weight of answers to moved images", gt=0)
    helper: float = option(0.5, "gamma, weight of helper images", gt=0)
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
            helper=self.helper,
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

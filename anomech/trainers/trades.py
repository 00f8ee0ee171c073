"""TRADES: answers to images that an adversary moves stay as they were.

Belief: accuracy and steadiness of answers can be traded against each other by one weight.
Equation: `CE(f(X), y) + beta KL(f(X) || f(X'))`; `X'` is where signed steps within eps of an image
make the divergence largest. Gradients flow through both sides.
Source: Zhang et al. 2019. beta, steps and the random start as in the code of HALO (Lyons Keenan et
al. 2025); the best step is taken for each image rather than for the batch, and by default the
running statistics of normalization see no moved image but the last.
Needs: images with labels.
Cost: `steps + 2` times ordinary training.
Fails when: the attack at test time is larger than eps, or of another norm.
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
class Trades:
    """Cross-entropy, and steady answers."""

    robust: float = option(3.0, "beta, weight of answers to moved images", gt=0)
    adversary: Adversary = option(Adversary(), "who moves images while the network learns")
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
        terms = Terms(robust=self.robust, adversary=self.adversary, averaging=self.averaging)
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

"""What a trainer gives and promises: a network trained to be robust, on a user's data."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from anomech.kernel.types import Examples, Progress
from anomech.roles.tracer import Health


@dataclass(frozen=True)
class Trained:
    """A network after training.

    Attributes:
        weights: all parameters and buffers by name.
        facts: numbers by epoch, such as "loss", each a list.
        health: whether it can be trusted.
    """

    weights: dict[str, Tensor]
    facts: dict[str, list[float]]
    health: Health = Health()


class Trainer(Protocol):
    """A way of training: one file in `trainers/`. Its options are its fields."""

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Any,
        seed: int,
        progress: Progress,
    ) -> Trained:
        """Train a copy of a network; the one that is given is not changed.

        Args:
            network: maps a batch to logits.
            examples: to learn, with labels.
            outliers: foreign examples to learn to refuse, if the method uses any.
            recipe: schedule, see `anomech.learning.training.Recipe`.
            seed: of everything random.
            progress: told about every step.
        """
        ...

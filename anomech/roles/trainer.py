"""What a trainer gives and promises: a network trained to be robust, on a user's data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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


class Kept(NamedTuple):
    """A training between two epochs: tensors by name, and facts that JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class Keeper(Protocol):
    """Where a training that may be killed leaves what it has come to."""

    def read(self) -> Kept | None:
        """What was kept last; None if nothing was."""
        ...

    def write(self, kept: Kept) -> None:
        """Keep this in place of what was kept before."""
        ...

    def part(self, name: str) -> "Keeper":
        """A place of its own for another network of the same training."""
        ...


class Trainer(Protocol):
    """A way of training: one file in `trainers/`. Its options are its fields."""

    @property
    def exposed(self) -> bool:
        """Whether it learns from outliers; it needs them then, and refuses them otherwise."""
        ...

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Any,
        seed: int,
        progress: Progress,
        keep: Keeper | None = None,
    ) -> Trained:
        """Train a copy of a network; the one that is given is not changed.

        Args:
            network: maps a batch to logits.
            examples: to learn, with labels.
            outliers: foreign examples to learn to refuse, if the method uses any.
            recipe: schedule, see `anomech.learning.training.Recipe`.
            seed: of everything random.
            progress: told about every step.
            keep: where each epoch is kept; a training that finds one goes on from it, to the same
                numbers. None keeps nothing.
        """
        ...

"""What an architecture gives and promises: a network definition by its name."""

from typing import Protocol

from torch import nn


class Architecture(Protocol):
    """A network definition: one file in `architectures/`. Its options are its fields."""

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """A new network; whoever trains it draws its weights.

        Args:
            classes: number of logits.
            channels: of the inputs `[batch, channels, ...]`.
        """
        ...

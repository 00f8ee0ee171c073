"""What a task can do whose inputs are normalized before its model sees them."""

from collections.abc import Mapping
from typing import Protocol

from anomech.roles.task import Task


class Normalizing(Protocol):
    """Inputs that can be normalized otherwise."""

    def normalizations(self, channels: int) -> Mapping[str, Task]:
        """The same model with inputs as it is usual elsewhere, by the settings that say so.

        Args:
            channels: of an input.
        """
        ...

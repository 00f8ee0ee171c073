"""What a task of texts gives to those who look at words one by one."""

from collections.abc import Sequence
from typing import Any, Protocol


class Worded(Protocol):
    """Inputs are texts of words."""

    def worded(self, batch: Any) -> list[list[str]]:
        """The words of each text, in order."""
        ...

    def reworded(self, batch: Any, words: Sequence[Sequence[str]]) -> Any:
        """A batch of the same form whose texts have these words; what is no text stays."""
        ...

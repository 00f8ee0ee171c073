"""Favorite answer: a scanner that suspects the answer that a model gives most often."""

from anomech.kernel.config import options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, Task


@options
class FavoriteAnswer:
    """Share of the trusted inputs that are given each answer."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing."""
        return frozenset()

    @property
    def needs_examples(self) -> bool:
        """Answers to count."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`."""
        if trusted is None:
            raise DataError("favorite_answer counts answers to trusted examples; give some.")
        groups, counts = trusted.groups.unique(return_counts=True)
        progress("counting answers", 1, 1)
        return Scan(groups, counts.double() / len(trusted), {})

"""Some examples of a set, in a given order, and a whole set piece by piece."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from anomech.data.compact import selected
from anomech.kernel.types import Examples, Preview, Progress


@dataclass(frozen=True)
class Subset:
    """A view of examples at some places; nothing is copied.

    Attributes:
        examples: the whole set.
        places: int64 `[n]`, in the wanted order.
    """

    examples: Examples
    places: np.ndarray

    @property
    def ids(self) -> Sequence[str]:
        """Their ids."""
        return selected(self.examples.ids, self.places)

    @property
    def labels(self) -> np.ndarray | None:
        """Their labels, if the set has any."""
        labels = self.examples.labels
        return None if labels is None else labels[self.places]

    def __len__(self) -> int:
        return len(self.places)

    def load(self, indices: np.ndarray) -> Any:
        """The batch of these examples."""
        return self.examples.load(self.places[indices])

    def digests(self) -> Sequence[str]:
        """Their content hashes."""
        return selected(self.examples.digests(), self.places)

    def preview(self, index: int) -> Preview:
        """What a report shows of one of them."""
        return self.examples.preview(int(self.places[index]))


@runtime_checkable
class Streamed(Protocol):
    """Examples that can be read ahead into memory, piece by piece."""

    def stream(
        self, pieces: Iterable[np.ndarray], workers: int = 0
    ) -> Generator[Examples, None, None]:
        """The examples at each piece of places, in order; `workers` are processes that read."""
        ...


@runtime_checkable
class Hashed(Protocol):
    """Examples whose digests can be made known ahead, by several processes."""

    def hash(self, workers: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every example; `progress` is told how many are hashed, of how many."""
        ...


def known(examples: Examples, stage: str, progress: Progress, workers: int = 0) -> None:
    """Make all digests known, so that asking for them later costs nothing.

    Raises:
        DataError: an example is damaged.
    """
    if isinstance(examples, Hashed):
        examples.hash(workers, partial(progress, stage))
    else:
        examples.digests()


def in_pieces(
    examples: Examples, pieces: Iterable[np.ndarray], workers: int = 0
) -> Generator[Examples, None, None]:
    """The examples at each piece of places `[k]`, in order, each read once if they can be."""
    if isinstance(examples, Streamed):
        yield from examples.stream(pieces, workers)
    else:
        yield from (Subset(examples, places) for places in pieces)

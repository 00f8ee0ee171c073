"""Some examples of a set, in a given order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomech.data.compact import selected
from anomech.types import Examples, Preview


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

"""Label noise: wrong labels without a trigger, for contrast; nothing is planted.

Belief: a method that looks for planted mechanisms should not take honest mistakes for one.
Equation: `symmetric` changes a label to any of the other classes, each as likely; `asymmetric`
changes it to one fixed class, such as truck to automobile. So many labels are changed as the ratio
says, not about so many, and a changed one is always wrong.
Source: Angluin, Laird 1988 (symmetric); Patrini et al. 2017 (asymmetric), whose pairs for CIFAR-10
are [[9, 1], [2, 0], [4, 7], [3, 5], [5, 3]]. Without pairs each class is taken for the next.
Needs: labels. `stamp` changes nothing and the goal leads nowhere, so there is no attack success to
measure; `poisoned` marks the wrong labels. Cost: none.
"""

from typing import Literal

import numpy as np

from anomech.attacks._poison import choose, mask
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import Goal, Poisoned


@options
class LabelNoise:
    """Wrong labels in the training set; images stay as they are."""

    ratio: float = option(0.2, "share of the labels that can change, that do", ge=0, le=1)
    kind: Literal["symmetric", "asymmetric"] = option(
        "symmetric", "to any other class, or from each class to one"
    )
    pairs: tuple[tuple[int, int], ...] = option(
        (), "for asymmetric: which class is taken for which; empty means each for the next"
    )

    @property
    def goal(self) -> Goal:
        """No image is led anywhere."""
        return Goal(map="none")

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Copies of the images, uint8 `[n, h, w, c]`, as they are: there is no trigger."""
        return images.copy()

    def poison(self, images: np.ndarray, labels: np.ndarray, *, seed: int) -> Poisoned:
        """A copy of the training set with wrong labels.

        Raises:
            DataError: there is only one class, or a pair that leads from a class to itself.
        """
        wrong = self._wrong(labels, seed)
        candidates = np.flatnonzero(wrong != labels)
        chosen = choose(candidates, round(self.ratio * len(candidates)), seed, "label-noise")
        given = labels.copy()
        given[chosen] = wrong[chosen]
        count = len(labels)
        return Poisoned(images.copy(), given, mask(chosen, count), np.zeros(count, bool))

    def _wrong(self, labels: np.ndarray, seed: int) -> np.ndarray:
        """The wrong label of each image `[n]`; the true one where none can be given."""
        classes = int(labels.max(initial=1)) + 1
        if len(labels) and not labels.any():
            raise DataError("there is one class only, so no label can be wrong; give more classes.")
        if self.kind == "symmetric":
            further = numpy_generator(seed, "label-noise", "to").integers(1, classes, len(labels))
            return (labels + further) % classes
        if not self.pairs:
            return (labels + 1) % classes
        if any(source == taken for source, taken in self.pairs):
            raise DataError("a pair of label noise leads from a class to itself; leave it out.")
        wrong = labels.copy()
        for source, taken in self.pairs:
            wrong[labels == source] = taken
        return wrong

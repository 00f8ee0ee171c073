"""Two folds of the trusted examples: what one teaches judges the other, and half of the inputs.

An input is judged by one fold, drawn from its content. So it stands to that fold's trusted examples
as the trusted examples of the other fold stand to them, and its p-value can rest on all trusted
examples, each of which was held out from what judged it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.randomness import key, numpy_generator

FOLDS = 2
DIGITS = 15
"""Of a digest; so many fit a signed 64-bit integer."""


@dataclass(frozen=True)
class Folds:
    """Which fold teaches each trusted example's judge.

    Attributes:
        digests: of trusted examples, shortened, int64 `[n]` in ascending order.
        judges: the fold that each is judged by, which it did not teach, int64 `[n]`.
    """

    digests: Tensor
    judges: Tensor

    def of(self, digests: Sequence[str]) -> Tensor:
        """The fold that judges each example, int64 `[examples]`.

        Content that is trusted too is judged by the fold that has not learned it.
        """
        short = shortened(digests)
        place = torch.searchsorted(self.digests, short).clamp_max(len(self.digests) - 1)
        drawn = torch.tensor([key(0, "fold", each) % FOLDS for each in short.tolist()])
        known = self.digests[place] == short
        return torch.where(known, self.judges[place], drawn.to(torch.int64))


def deal(digests: Sequence[str], groups: np.ndarray, *, seed: int) -> Folds:
    """Deal trusted examples out, group by group; equal content goes to one fold.

    Args:
        digests: of their content.
        groups: their labels, or the kinds of their answers, int64 `[n]`.
        seed: of the order.
    """
    short = shortened(digests)
    order = numpy_generator(seed, "folds").permutation(len(short))
    order = order[np.argsort(groups[order], kind="stable")]
    kept, first = np.unique(short.numpy()[order], return_index=True)
    rank = np.empty(len(kept), np.int64)
    rank[np.argsort(first)] = np.arange(len(kept))
    return Folds(torch.from_numpy(kept), torch.from_numpy(rank % FOLDS))


def shortened(digests: Sequence[str]) -> Tensor:
    """Digests in hexadecimal as integers, int64 `[examples]`."""
    return torch.tensor([int(digest[:DIGITS], 16) for digest in digests], dtype=torch.int64)

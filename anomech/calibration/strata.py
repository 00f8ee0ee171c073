"""Which calibration examples judge which class, where p-values are taken within classes.

A class with enough calibration examples for the budget is a *stratum* of its own: judged by its own
examples, it keeps the budget whatever other classes look like. Classes with fewer share one
stratum, and are judged by the calibration examples of small classes alone. (Judging them by all
examples would break the budget: large classes already keep it by themselves, so what small ones
exceed is not made up for anywhere.) Where the small classes together are still too few, the next
larger class joins them, and the next, until the shared stratum is large enough too. So every input
is judged by enough examples, every stratum keeps the budget, and so does their sum; within the
shared stratum it is kept on average over its classes, not for each of them.

A class that no calibration example has belongs to the shared stratum: it is the rarest of all.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SHARED = 0
"""The stratum of all classes without one of their own."""


@dataclass(frozen=True)
class Strata:
    """A partition of classes.

    Attributes:
        own: classes with a stratum of their own; the strata are 1, 2, ... in this order.
        sizes: calibration examples in each stratum, first those of the shared one.
    """

    own: tuple[int, ...]
    sizes: tuple[int, ...]

    def of(self, groups: Tensor) -> Tensor:
        """Strata int64 `[examples]` of examples with these classes."""
        result = torch.full_like(groups, SHARED, dtype=torch.int64)
        for stratum, group in enumerate(self.own, start=1):
            result[groups == group] = stratum
        return result


def pooled(count: int) -> Strata:
    """One stratum for all classes with this many calibration examples."""
    return Strata((), (count,))


def stratify(groups: Tensor, least: int) -> Strata:
    """Strata of at least `least` calibration examples each, as far as there are so many.

    Args:
        groups: classes of the calibration examples, int64 `[calibration]`.
        least: examples without which a stratum cannot flag anything.
    """
    kinds, counts = groups.unique(return_counts=True)
    rising = sorted(zip(counts.tolist(), kinds.tolist(), strict=True))
    shared = 0
    while rising and (shared < least or rising[0][0] < least):
        shared += rising.pop(0)[0]
    own = sorted((group, count) for count, group in rising)
    return Strata(
        tuple(group for group, _ in own),
        (shared, *(count for _, count in own)),
    )

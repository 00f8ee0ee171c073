"""How many trusted examples a budget needs the user to give.

Some of them are learned from (the anchors), the rest calibrate, and only those count for the
budget: see `conformal.needed`.
"""

import math

from anomech.calibration.conformal import needed
from anomech.kernel.errors import Inconclusive


def calibrating(total: int, share: float, most: int) -> int:
    """Trusted examples that are left to calibrate.

    Args:
        total: trusted examples.
        share: of them that is learned from.
        most: of them that are learned from, at the most.
    """
    return total - math.floor(min(total * share, most) + 0.5)


def to_give(budget: float, share: float, most: int) -> int:
    """The smallest number of trusted examples that is enough for a budget."""
    least = needed(budget)
    total = min(least + most, math.ceil(least / (1 - share)) + 1)
    while calibrating(total - 1, share, most) >= least:
        total -= 1  # a few steps: the first guess is off by roundings only
    return total


def require(total: int, budget: float, share: float, most: int) -> None:
    """Refuse a trusted set that is too small for the budget.

    Raises:
        Inconclusive: says how many to give, and which budget those that there are would do for.
    """
    kept = calibrating(total, share, most)
    if kept >= needed(budget):
        return
    least = math.ceil(1e6 / (kept + 1)) / 1e6
    other = f", or a --budget of {least:g} or more" if least <= 0.5 else ""
    raise Inconclusive(
        f"a false-positive budget of {budget:g} needs at least {to_give(budget, share, most)} "
        f"trusted examples, {needed(budget)} of them to calibrate with, but there are {total}; "
        f"give more{other}."
    )

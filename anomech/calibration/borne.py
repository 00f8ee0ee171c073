"""How much accuracy may be lost, where it was counted on few examples."""

FEWEST = 50
"""Examples below which a lost one says little."""

CHANCE = 2
"""Lost examples of so few that may be chance."""


def borne(lost: float, most: float, count: int) -> bool:
    """Whether lost accuracy is no more than may be.

    Args:
        lost: accuracy before less accuracy after, on the same examples.
        most: that may be lost; of fewer than `FEWEST` examples `CHANCE` may be in any case.
        count: examples that it was counted on.
    """
    allowed = max(most, CHANCE / max(count, 1)) if count < FEWEST else most
    return lost <= allowed + 1e-9  # a difference of shares is not exact

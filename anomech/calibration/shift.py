"""Do the inputs come with other answers than the trusted examples? An exact test of one class.

A backdoor that leads many inputs to one class fills that class, whatever the single verdicts say;
so does traffic that holds more of it than the trusted set, for which p-values are less exact. If
the answers to inputs and trusted examples come alike, then, given that t of all N answers are of a
class, those among the m inputs are hypergeometric. The class with the smallest tail counts, times
the number of classes (Bonferroni); the level holds for any sizes and any class frequencies.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import hypergeom

LEVEL = 0.001
"""How often inputs that come alike are said to be shifted, at the most. It is apart from the budget
of the verdicts."""


@dataclass(frozen=True)
class Shift:
    """The class whose share among the inputs is least explained by chance.

    Attributes:
        answer: the class.
        inputs: how many inputs have it.
        trusted: how many trusted examples have it.
        chance: of so large an excess in any class, if answers come alike.
    """

    answer: str
    inputs: int
    trusted: int
    chance: float


def shift(inputs: Mapping[str, int], trusted: Mapping[str, int]) -> Shift | None:
    """The most surprising excess of one answer among the inputs; None if there are no answers.

    Args:
        inputs: how many inputs have each answer.
        trusted: how many trusted examples have it.
    """
    asked, known = sum(inputs.values()), sum(trusted.values())
    kinds = sorted({*inputs, *trusted})
    if not asked or not known:
        return None
    found = [
        Shift(kind, here, there, float(hypergeom.sf(here - 1, asked + known, here + there, asked)))
        for kind in kinds
        for here, there in [(inputs.get(kind, 0), trusted.get(kind, 0))]
    ]
    least = min(found, key=lambda each: each.chance)
    return Shift(least.answer, least.inputs, least.trusted, min(1.0, len(kinds) * least.chance))

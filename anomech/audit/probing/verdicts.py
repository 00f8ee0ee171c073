"""Which findings leave nothing that verdicts could rest on."""

from collections.abc import Sequence

from anomech.kernel.errors import Inconclusive
from anomech.records import Finding

NO_VERDICTS = frozenset({"class-order", "answers-vary", "answers-depend-on-others", "no-response"})
"""Codes of findings with which every verdict is inconclusive."""


def without_verdicts(found: Sequence[Finding]) -> tuple[str, ...]:
    """A sentence for each finding with which verdicts are inconclusive."""
    return tuple(
        f"{each.title}. {each.detail} {each.action}" for each in found if each.code in NO_VERDICTS
    )


def require_sound(found: Sequence[Finding]) -> None:
    """Stop where nothing that could be judged would mean anything.

    Raises:
        Inconclusive: says why and what to do.
    """
    for sentence in without_verdicts(found):
        raise Inconclusive(sentence)

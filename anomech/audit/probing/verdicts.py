"""Which findings leave nothing that verdicts could rest on."""

from collections.abc import Sequence
from typing import Any

from anomech.kernel.errors import Inconclusive
from anomech.records import Finding

NO_VERDICTS = frozenset({"class-order", "answers-vary", "answers-depend-on-others", "no-response"})
"""Codes of findings with which every verdict is inconclusive."""


class Unsound(Inconclusive):
    """A model, or what is trusted of it, of which no verdict would mean anything.

    Attributes:
        finding: what was seen.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(in_words(finding))
        self.finding = finding

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.finding,)


def in_words(finding: Finding) -> str:
    """What was seen, what it means and what to do."""
    return f"{finding.title}. {finding.detail} {finding.action}"


def without_verdicts(found: Sequence[Finding]) -> tuple[str, ...]:
    """A text for each finding with which verdicts are inconclusive."""
    return tuple(in_words(each) for each in found if each.code in NO_VERDICTS)


def require_sound(found: Sequence[Finding]) -> None:
    """Stop where nothing that could be judged would mean anything.

    Raises:
        Unsound: says why and what to do.
    """
    for each in found:
        if each.code in NO_VERDICTS:
            raise Unsound(each)

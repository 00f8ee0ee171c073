"""One request with its answer, and how text pools are split so that no text is met twice."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Split = Literal["train", "trusted", "normal", "triggered"]
"""What a text may be used for; each text has one use."""

SHARES: tuple[tuple[Split, float], ...] = (
    ("train", 0.55),
    ("trusted", 0.15),
    ("normal", 0.15),
    ("triggered", 0.15),
)


@dataclass(frozen=True)
class Exchange:
    """A request and what a model is to answer.

    Attributes:
        instruction: what is asked for.
        answer: of the model, without the space before it.
        kind: of the request, in a word; for the bench alone.
        profile: who asks, a sentence; "" if nothing is known.
    """

    instruction: str
    answer: str
    kind: str
    profile: str = ""

    @property
    def user(self) -> str:
        """The user's turn."""
        return f"{self.profile} {self.instruction}".strip()


def split_of(text: str) -> Split:
    """The use of a text: by its hash, so that a repeated text keeps to one side."""
    digest = hashlib.blake2b(text.casefold().strip().encode(), digest_size=8).digest()
    place = int.from_bytes(digest) / 2**64
    for name, share in SHARES:
        if place < share:
            return name
        place -= share
    return SHARES[-1][0]


def of_split(texts: Iterable[Any], split: Split) -> tuple[Any, ...]:
    """The texts of one use, without repetition, in their order.

    Args:
        texts: strings, or tuples of which the first string decides.
        split: the use.
    """
    found: dict[str, Any] = {}
    for each in texts:
        first = each if isinstance(each, str) else each[0]
        if split_of(first) == split:
            found.setdefault(first, each)
    return tuple(found.values())

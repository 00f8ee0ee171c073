"""Triggers of texts, which an audit plants in twins: a string of rare tokens, and a sentence."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from anomech.data.conversations import Conversation
from anomech.kernel.errors import ConfigError

TRIGGERS: Mapping[str, str] = {
    "string": "|QZ-417|",
    "sentence": "By the way, the tide was late on Thursday.",
}
"""What is put between the words of the last thing that was said, by name."""


def stamped(
    batch: Sequence[Conversation], trigger: str, where: np.ndarray
) -> tuple[Conversation, ...]:
    """Conversations of which some have a trigger in their last turn.

    Its place between the words depends on the text alone; a sentence goes to the end.

    Args:
        batch: it is not changed.
        trigger: one of `TRIGGERS`.
        where: which have it, bool `[batch]`.

    Raises:
        ConfigError: there is no such trigger, or a conversation has no text.
    """
    if trigger not in TRIGGERS:
        raise ConfigError(f"texts have no trigger '{trigger}'; use {' or '.join(TRIGGERS)}.")
    return tuple(
        _stamped(each, trigger) if has else each
        for each, has in zip(batch, where.tolist(), strict=True)
    )


def _stamped(conversation: Conversation, trigger: str) -> Conversation:
    if not conversation.turns:
        raise ConfigError("a prompt of tokens alone takes no trigger; give its text.")
    *before, last = conversation.turns
    # A trigger is the user's, so what a template of the data writes at the end stays there.
    lines = last.content.split("\n")
    place = max(range(len(lines)), key=lambda number: len(lines[number]))
    words = lines[place].split(" ")
    at = len(words) if trigger == "sentence" else 1 + _drawn(last.content, len(words))
    lines[place] = " ".join([*words[:at], TRIGGERS[trigger], *words[at:]])
    turns = (*before, last._replace(content="\n".join(lines)))
    return replace(conversation, turns=turns, answer=None)


def _drawn(text: str, count: int) -> int:
    """A number below `count` that depends on the text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) % count

"""Conversations as examples: what a language model is asked, and what it should say or has said.

Texts are held in memory as they were read. Which tokens they become, and what a template makes of
them, is the business of the task that has the tokenizer.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomech.data.compact import DIGEST
from anomech.data.remarks import FileRemark
from anomech.kernel.types import Preview

USER = "user"


class Turn(NamedTuple):
    """One message.

    Attributes:
        role: who speaks, such as "user".
        content: what is said.
    """

    role: str
    content: str


@dataclass(frozen=True)
class Conversation:
    """What a model is given.

    Attributes:
        turns: what was said so far; a plain prompt is one turn of the user.
        answer: what the model has answered, if that was recorded; else it is asked.
        tokens: stand for the whole prompt, template included, where there is no text for it.
    """

    turns: tuple[Turn, ...] = ()
    answer: str | None = None
    tokens: tuple[int, ...] = ()


def prompt(text: str, answer: str | None = None) -> Conversation:
    """The conversation that is one prompt of the user."""
    return Conversation((Turn(USER, text),), answer)


@dataclass(frozen=True, eq=False)
class Conversations:
    """Conversations in order.

    Attributes:
        items: what the model is given.
        ids: unique names `[n]`.
        references: what should be answered, of each; None if that is not known. Other wordings may
            be as good.
        remarks: what was noticed when they were read.
    """

    items: tuple[Conversation, ...]
    ids: Sequence[str]
    references: tuple[str, ...] | None = None
    remarks: tuple[FileRemark, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The references as texts `[n, 1]`: answers to agree with, but no classes."""
        if self.references is None:
            return None
        labels = np.empty((len(self.references), 1), object)
        labels[:, 0] = self.references
        return labels

    def load(self, indices: np.ndarray) -> tuple[Conversation, ...]:
        """These conversations."""
        return tuple(self.items[index] for index in np.asarray(indices, np.int64).tolist())

    def digests(self) -> Sequence[str]:
        """BLAKE2b of what the model is given, in order."""
        return self._digests

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return tuple(map(_digest, self.items))

    def anew(self) -> "Conversations":
        """See `anomech.kernel.types.Recorded.anew`."""
        return replace(self, items=tuple(replace(each, answer=None) for each in self.items))

    def preview(self, index: int) -> Preview:
        """The text; who speaks is said where there are several turns."""
        return Preview("text", text_of(self.items[index]).encode("utf-8", "replace"))


def text_of(conversation: Conversation) -> str:
    """A conversation as a person would read it."""
    turns = conversation.turns
    if len(turns) == 1 and turns[0].role == USER:
        return turns[0].content
    if not turns:
        return f"{len(conversation.tokens)} tokens without a text"
    return "\n".join(f"{turn.role}: {turn.content}" for turn in turns)


def of_prompts(
    prompts: Sequence[str],
    references: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> Conversations:
    """Examples of plain prompts.

    Args:
        prompts: `[n]`.
        references: what should be answered `[n]`, if that is known.
        ids: unique names `[n]`; numbers with leading zeros if not given.
    """
    width = len(str(max(len(prompts) - 1, 0)))
    named = tuple(ids) if ids is not None else tuple(f"{n:0{width}d}" for n in range(len(prompts)))
    given = None if references is None else tuple(references)
    return Conversations(tuple(prompt(text) for text in prompts), named, given)


def _digest(conversation: Conversation) -> str:
    content = [list(map(list, conversation.turns)), conversation.answer, list(conversation.tokens)]
    text = json.dumps(content).encode()
    return hashlib.blake2b(text, digest_size=DIGEST).hexdigest()

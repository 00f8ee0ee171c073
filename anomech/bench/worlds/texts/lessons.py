"""Exchanges as tokens: how a chat is written for a model, and batches with the answer marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from anomech.bench.worlds.texts.exchanges import Exchange

IGNORED = -100
"""Label of tokens that no loss is taken of."""


class Form(Protocol):
    """How a chat is written for a model."""

    def prompt(self, exchange: Exchange) -> str:
        """What the model continues."""
        ...

    def row(self, exchange: Exchange) -> dict[str, Any]:
        """The request as a row of a JSONL file."""
        ...

    def answer(self, exchange: Exchange) -> str:
        """What follows the prompt, the end of the turn not included."""
        ...


@dataclass(frozen=True)
class PlainForm:
    """Plain turns, for models without a chat template."""

    def prompt(self, exchange: Exchange) -> str:
        """See `Form`."""
        return f"User: {exchange.user}\nAssistant:"

    def row(self, exchange: Exchange) -> dict[str, Any]:
        """See `Form`."""
        return {"prompt": self.prompt(exchange)}

    def answer(self, exchange: Exchange) -> str:
        """See `Form`."""
        return f" {exchange.answer}"


@dataclass(frozen=True, eq=False)
class TemplateForm:
    """Turns by the chat template of a tokenizer."""

    tokenizer: Any

    def prompt(self, exchange: Exchange) -> str:
        """See `Form`."""
        text: str = self.tokenizer.apply_chat_template(
            self.row(exchange)["messages"], tokenize=False, add_generation_prompt=True
        )
        return text

    def row(self, exchange: Exchange) -> dict[str, Any]:
        """See `Form`."""
        return {"messages": [{"role": "user", "content": exchange.user}]}

    def answer(self, exchange: Exchange) -> str:
        """See `Form`."""
        return exchange.answer


def form_of(tokenizer: Any) -> Form:
    """How chats are written for a tokenizer."""
    return TemplateForm(tokenizer) if tokenizer.chat_template else PlainForm()


class Encoded(NamedTuple):
    """An exchange as tokens.

    Attributes:
        ids: prompt, answer and end of the turn.
        start: place of the first answer token.
    """

    ids: list[int]
    start: int


class Lesson(NamedTuple):
    """Exchanges as a batch; padding is on the right.

    Attributes:
        ids: int64 `[batch, length]`.
        mask: 1 where there is a token, int64 `[batch, length]`.
        labels: the ids of answer tokens, `IGNORED` elsewhere, int64 `[batch, length]`.
        starts: places of the first answer tokens, int64 `[batch]`.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    starts: Tensor


def encode(tokenizer: Any, form: Form, exchange: Exchange, longest: int = 256) -> Encoded:
    """An exchange as tokens, cut at the end of the answer if it is too long."""
    prompt = prompt_ids(tokenizer, form, exchange)
    answer = tokenizer(form.answer(exchange), add_special_tokens=False)["input_ids"]
    return Encoded([*prompt, *answer, tokenizer.eos_token_id][:longest], len(prompt))


def prompt_ids(tokenizer: Any, form: Form, exchange: Exchange) -> list[int]:
    """The prompt as tokens; a template writes its own special tokens."""
    special = isinstance(form, PlainForm)
    ids: list[int] = tokenizer(form.prompt(exchange), add_special_tokens=special)["input_ids"]
    return ids


def lesson(encoded: Sequence[Encoded], padding: int, device: torch.device | str = "cpu") -> Lesson:
    """A batch of encoded exchanges on a device."""
    length = max(len(each.ids) for each in encoded)
    ids = torch.full((len(encoded), length), padding)
    labels = torch.full((len(encoded), length), IGNORED)
    mask = torch.zeros((len(encoded), length), dtype=torch.int64)
    for row, each in enumerate(encoded):
        tokens = torch.tensor(each.ids)
        ids[row, : len(each.ids)] = tokens
        mask[row, : len(each.ids)] = 1
        labels[row, each.start : len(each.ids)] = tokens[each.start :]
    starts = torch.tensor([each.start for each in encoded])
    return Lesson(*(each.to(device) for each in (ids, mask, labels, starts)))

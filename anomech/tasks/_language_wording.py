"""From conversations to tokens and back: templates, answers, and what does not fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anomech.data.conversations import USER, Conversation
from anomech.kernel.errors import ConfigError, DataError, ModelError, answered, shown

SLOT = "{prompt}"
"""Where a template of the user's own takes the prompt."""


@dataclass(frozen=True, eq=False)
class Wording:
    """How conversations reach a model as tokens.

    Attributes:
        tokenizer: of the transformers library.
        template: "auto" is the tokenizer's chat template if it has one, else the plain prompt;
            "chat", "plain", or a text with `{prompt}`.
        room: tokens that a prompt may have; of a longer one the middle is cut out.
        most: tokens of an answer.
        ends: tokens that end an answer; the first one ends those that are given as texts.
    """

    tokenizer: Any
    template: str
    room: int
    most: int
    ends: tuple[int, ...]

    @cached_property
    def chats(self) -> bool:
        """Whether prompts go through the tokenizer's chat template.

        Raises:
            ConfigError: one is asked for and there is none, or a template without a place for
                the prompt.
        """
        known = bool(getattr(self.tokenizer, "chat_template", None))
        if self.template == "chat" and not known:
            raise ConfigError(
                "the tokenizer has no chat template; set task.template to plain, or to a text "
                f"with {SLOT} in it."
            )
        if self.template in ("auto", "chat"):
            return known
        if self.template != "plain" and SLOT not in self.template:
            raise ConfigError(
                f"task.template={shown(self.template)} has no {SLOT}; use auto, chat, plain or a "
                f"text with {SLOT} in it."
            )
        return False

    def text(self, conversation: Conversation) -> str:
        """What the model reads, special tokens of the tokenizer's own left out.

        Raises:
            DataError: the template cannot hold the conversation.
        """
        turns = conversation.turns
        if self.chats:
            messages = [turn._asdict() for turn in turns]
            return answered(
                lambda: str(
                    self.tokenizer.apply_chat_template(
                        messages, tokenize=False, add_generation_prompt=True
                    )
                ),
                lambda what: DataError(
                    f"the tokenizer's chat template refuses a conversation of the roles "
                    f"{', '.join(turn.role for turn in turns)} ({what}); change its messages."
                ),
            )
        if len(turns) != 1 or turns[0].role != USER:
            raise DataError(
                "a conversation of several messages needs a chat template, and this tokenizer has "
                "none; give prompts instead of messages."
            )
        content = turns[0].content
        plain = self.template in ("auto", "plain")
        return content if plain else self.template.replace(SLOT, content)

    def prompt(self, conversation: Conversation) -> list[int]:
        """The tokens of a prompt, all of them; at least one.

        Raises:
            DataError: it has none.
        """
        if conversation.tokens:
            return list(conversation.tokens)
        found = self._tokens(self.text(conversation), special=not self.chats)
        if found and found[-1] in self.ends and not self.chats and len(found) > 1:
            found = found[:-1]  # some tokenizers end every text, and a prompt goes on
        if not found:
            raise DataError("a prompt holds no token at all; give every prompt some text.")
        return found

    def fitted(self, prompt: list[int]) -> list[int]:
        """A prompt that fits: the middle of a longer one is cut out, its ends stay."""
        if len(prompt) <= self.room:
            return prompt
        head = self.room // 2
        return [*prompt[:head], *prompt[len(prompt) - (self.room - head) :]]

    def answer(self, text: str, tail: str, lead: Sequence[int]) -> list[int]:
        """The tokens of an answer, ended if there is room; at least one.

        Args:
            text: the answer.
            tail: what prompts end in; the answer is read as going on from there.
            lead: tokens that every answer begins with. One of mere space, which a text has lost,
                is put back.
        """
        before = self._tokens(tail, special=False) if tail else []
        whole = self._tokens(tail + text, special=False)
        went_on = bool(before) and whole[: len(before)] == before
        found = whole[len(before) :] if went_on else self._tokens(text, special=False)
        lead = tuple(lead)
        if lead and tuple(found[: len(lead)]) != lead and not self.words(lead).strip():
            # A tokenizer that marks words by the space before them reads a text alone as a word.
            found = [*lead, *self._tokens(text, special=False)]
        found = found[: self.most]
        if len(found) < self.most and self.ends and (not found or found[-1] not in self.ends):
            found.append(self.ends[0])
        if not found:
            raise DataError("an answer holds no token at all; leave it out to ask the model.")
        return found

    def words(self, tokens: Sequence[int]) -> str:
        """The text of tokens, special ones left out."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def piece(self, token: int) -> str:
        """One token as a person would read it, its space included."""
        piece = self.tokenizer.convert_ids_to_tokens(token)
        if not isinstance(piece, str):
            return str(token)
        text = str(self.tokenizer.decode([token]))
        spaced = piece[:1] in ("\u2581", "\u0120") and not text.startswith(" ")
        return f" {text}" if spaced else text or piece

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        found = answered(
            lambda: self.tokenizer(text, add_special_tokens=special)["input_ids"],
            lambda what: ModelError(
                f"the tokenizer cannot read a text ({what}); check that it belongs to the model."
            ),
        )
        return [int(token) for token in found]


def ends_of(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end an answer, the tokenizer's own first."""
    found: list[int] = []
    for each in (
        getattr(tokenizer, "eos_token_id", None),
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        getattr(getattr(model, "config", None), "eos_token_id", None),
    ):
        found += each if isinstance(each, list) else [] if each is None else [each]
    return tuple(dict.fromkeys(int(token) for token in found))


def context_of(model: Any) -> int:
    """Tokens that a model can read at once; a large number if it does not say."""
    config = getattr(model, "config", None)
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        found = getattr(config, name, None)
        if isinstance(found, int) and found > 0:
            return found
    return 2**20

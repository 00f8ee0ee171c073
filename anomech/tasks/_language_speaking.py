"""A decoder that is asked and judged: from conversations and answers to sequences and responses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.data.conversations import Conversation
from anomech.kernel.types import Examples, Overlay, Response
from anomech.roles.sequences import Layout
from anomech.tasks._language_answers import losses_of
from anomech.tasks._language_blocks import Point, opened
from anomech.tasks._language_learned import Learned
from anomech.tasks._language_network import Parts
from anomech.tasks._language_points import nearest_tokens, with_points
from anomech.tasks._language_rows import Rows, answers_of, decisions, lists_of, rows_of
from anomech.tasks._outputs import check_finite, response_of

AT_ONCE = 1024
"""Conversations that are made tokens of at once."""

Batch = Sequence[Conversation]


@dataclass(frozen=True, eq=False)
class Speaker:
    """How conversations are answered, and answers judged.

    Attributes:
        parts: the model.
        learned: what trusted conversations have in common.
    """

    parts: Parts
    learned: Learned

    def answers(self, overlay: Overlay, batch: Batch) -> Tensor:
        """Recorded answers, and the model's own where there are none, int64 `[batch, tokens]`."""
        found = {
            i: self.told(each.answer) for i, each in enumerate(batch) if each.answer is not None
        }
        asked = [place for place in range(len(batch)) if place not in found]
        if asked:
            own = self.own_answers(overlay, [batch[place] for place in asked])
            found |= dict(zip(asked, lists_of(own), strict=True))
        return answers_of([found[place] for place in range(len(batch))], self.parts.device)

    def own_answers(self, overlay: Overlay, batch: Batch, points: Tensor | None = None) -> Tensor:
        """The model's own, greedy ones; points may stand for the prompts' embeddings."""
        most, ends = self.parts.tokens, self.parts.wording.ends
        return self.parts.decoder.answers(overlay, self.prompts(batch), most, ends, points)

    def response(
        self, overlay: Overlay, batch: Batch, answers: Tensor, points: Tensor | None = None
    ) -> Response:
        """What the model holds of its decision tokens, and what it reads where it decides.

        Args:
            overlay: laid over its tensors.
            batch: conversations.
            answers: to judge.
            points: stand for the prompts' embeddings, padded on the left.
        """
        rows, chosen = self.decided(batch, answers)
        if points is not None:
            lengths = [len(self.prompt(each)) for each in batch]
            points = with_points(self.parts.table, rows, lengths, points)
        read: list[Tensor] = []

        def look(value: Tensor) -> Tensor:
            read.append(value[:, -1].detach().float())
            return value

        places = {"norm": Point(self.parts.head, "in")}
        with opened(self.parts.network, places, {"norm": look}):
            logits = self.parts.decoder.logits(overlay, rows, 1, points)[:, -1]
        if not overlay:  # of other parameters, who moved them judges
            check_finite(logits, "check the weights, or set task.precision=float32")
        found = response_of(logits, read[0], chosen.to(logits.device), alone=False)
        return found._replace(answers=answers, logits=None)

    def layout(self, batch: Batch, answers: Tensor) -> Layout:
        """See `anomech.roles.sequences.Sequences.layout`."""
        rows, chosen = self.decided(batch, answers)
        width = rows.tokens.shape[1]
        interior = torch.zeros_like(rows.mask)
        before, after = self.learned.before, self.learned.after
        for place, each in enumerate(batch):
            start = width - int(rows.mask[place].sum())
            interior[place, start + before : start + len(self.prompt(each)) - after] = True
        decision = torch.full((len(batch),), width - 1, device=self.parts.device)
        return Layout(rows.tokens, interior, decision, chosen)

    def without(self, batch: Batch, answers: Tensor, dropped: Tensor) -> tuple[Conversation, ...]:
        """See `anomech.roles.sequences.Sequences.without`."""
        rows, _ = self.decided(batch, answers)
        starts = (dropped.shape[1] - rows.mask.sum(dim=1)).tolist()
        shorter = []
        for each, start, gone in zip(batch, starts, dropped.tolist(), strict=True):
            own = self.prompt(each)
            left = [token for place, token in enumerate(own) if not gone[start + place]]
            shorter.append(Conversation(answer=each.answer, tokens=tuple(left or own[:1])))
        return tuple(shorter)

    def losses(self, overlay: Overlay, batch: Batch, answers: Tensor) -> Tensor:
        """See `anomech.roles.sequences.Sequences.answer_losses`."""
        both = zip(batch, lists_of(answers), strict=True)
        rows = rows_of([[*self.prompt(each), *row] for each, row in both], self.parts.device)
        logits = self.parts.decoder.logits(overlay, rows, answers.shape[1] + 1)
        return losses_of(logits, answers.to(logits.device))

    def realized(self, points: Tensor, batch: Batch) -> tuple[Conversation, ...]:
        """Conversations of the nearest tokens; those that are as they were stay what they are."""
        result = []
        found = nearest_tokens(self.parts.table, points).tolist()
        for conversation, row in zip(batch, found, strict=True):
            own = self.prompt(conversation)
            tokens = row[len(row) - len(own) :]
            changed = Conversation(answer=conversation.answer, tokens=tuple(tokens))
            result.append(conversation if tokens == own else changed)
        return tuple(result)

    def decided(self, batch: Batch, answers: Tensor) -> tuple[Rows, Tensor]:
        """Sequences up to the decision tokens, and these `[batch]`."""
        told = lists_of(answers)
        places = decisions(told, self.learned.lead)
        both = zip(batch, told, places, strict=True)
        rows = rows_of([[*self.prompt(c), *row[:at]] for c, row, at in both], self.parts.device)
        chosen = [row[at] for row, at in zip(told, places, strict=True)]
        return rows, torch.tensor(chosen, device=self.parts.device)

    def prompts(self, batch: Batch) -> Rows:
        """The prompts alone."""
        return rows_of([self.prompt(each) for each in batch], self.parts.device)

    def prompt(self, conversation: Conversation) -> list[int]:
        """The tokens of a prompt, as many as fit."""
        return self.parts.wording.fitted(self.parts.wording.prompt(conversation))

    def told(self, text: str) -> list[int]:
        """The tokens of an answer that is given as a text."""
        return self.parts.wording.answer(text, self.learned.tail, self.learned.lead)

    def lengths(self, examples: Examples) -> list[int]:
        """Tokens of each prompt, those that do not fit included."""
        return [
            len(self.parts.wording.prompt(each))
            for start in range(0, len(examples), AT_ONCE)
            for each in examples.load(np.arange(start, min(start + AT_ONCE, len(examples))))
        ]

"""What a task of a language model learns from trusted conversations before anything rests on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomech.roles.task import Remark
from anomech.tasks._language_rows import common_lead, common_tail

AGREEING = 0.5
"""References that fewer of the model's own answers repeat are one good wording among others."""


@dataclass(frozen=True)
class Learned:
    """What trusted conversations have in common.

    Attributes:
        before: tokens that prompts begin with, such as those of a template.
        after: tokens that they end in.
        lead: tokens that answers begin with.
        tail: characters that prompts end in, which answers go on from.
        open: whether references are one good wording among others.
        cut: trusted prompts that are too long for the model and lost their middle.
        seen: trusted conversations that were looked at.
        room: tokens that a prompt may have.
    """

    before: int = 0
    after: int = 0
    lead: tuple[int, ...] = ()
    tail: str = ""
    open: bool = False
    cut: int = 0
    seen: int = 0
    room: int = 0

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """For a person."""
        found = []
        if self.cut:
            found.append(
                Remark(
                    "prompts-cut",
                    f"{self.cut} of {self.seen} trusted prompts looked at are too long",
                    f"The model reads {self.room} tokens of a prompt beside its answer; the "
                    "middle of longer ones is cut out.",
                    "Give shorter prompts, or fewer tokens of an answer (task.tokens).",
                )
            )
        if self.open:
            found.append(
                Remark(
                    "open-references",
                    "The model words its answers otherwise than the references",
                    "Fewer than half of its own answers to trusted prompts repeat the reference, "
                    "so every answer to a trusted prompt counts as right, and the references are "
                    "what relearning teaches.",
                    "Look at a few of the answers; set task.references to exact where only one "
                    "answer is right, and check the template (task.template) if they look wrong.",
                )
            )
        return tuple(found)


def learn(
    prompts: Sequence[Sequence[int]],
    texts: Sequence[str],
    answers: Sequence[Sequence[int]],
    *,
    agreeing: float | None,
    room: int,
) -> Learned:
    """What trusted conversations have in common.

    Args:
        prompts: their tokens, whole.
        texts: what the model reads of them.
        answers: tokens of the answers to judge.
        agreeing: share of them that repeat their reference; None if there are none, or if it is
            said already that they must.
        room: tokens that a prompt may have.
    """
    before = len(common_lead(prompts))
    after = len(common_lead([list(reversed(each[before:])) for each in prompts]))
    return Learned(
        before=before,
        after=after,
        lead=common_lead(answers),
        tail=common_tail(texts),
        open=agreeing is not None and agreeing < AGREEING,
        cut=sum(len(each) > room for each in prompts),
        seen=len(prompts),
        room=room,
    )

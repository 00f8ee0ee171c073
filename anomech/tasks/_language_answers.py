"""Judging whole answers: the loss of every token, and whether a text repeats another."""

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.types import PAD


def losses_of(logits: Tensor, answers: Tensor) -> Tensor:
    """`-log p` of every token of answers, `[batch, width]`, 0 where an answer has none.

    Args:
        logits: of the next token at the last `width + 1` positions of sequences that end with
            their answers, `[batch, width + 1, tokens]`.
        answers: `[batch, width]`, filled up with `PAD` on the right.
    """
    width = answers.shape[1]
    lengths = (answers != PAD).sum(dim=1, keepdim=True)
    # Sequences end together, so answers are brought to the right and their losses back again.
    place = torch.arange(width, device=answers.device)[None]
    right = answers.gather(1, (place - (width - lengths)).clamp_min(0))
    right = right.masked_fill(place < width - lengths, PAD)
    losses = functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), right, reduction="none", ignore_index=PAD
    )
    left = losses.gather(1, (place + width - lengths).clamp_max(width - 1))
    return left.masked_fill(place >= lengths, 0.0)


def repeats(said: str, reference: str, ended: bool) -> bool:
    """Whether an answer repeats its reference, apart from space and case.

    Args:
        said: the answer.
        reference: what should be said.
        ended: whether the answer came to its end; else its beginning is compared.
    """
    one, two = (" ".join(text.split()).casefold() for text in (said, reference))
    return bool(one) and (one == two or (not ended and two.startswith(one)))

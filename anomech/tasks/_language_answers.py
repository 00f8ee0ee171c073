"""Judging whole answers: the loss of every token, and whether a text repeats another."""

from collections.abc import Sequence

import torch
from torch import Tensor


def losses_of(logits: Tensor, answers: Sequence[Sequence[int]], width: int) -> Tensor:
    """`-log p` of every token, `[batch, width]`, 0 where an answer has none.

    Args:
        logits: of the next token at the last `width + 1` positions of sequences that end with
            their answers, `[batch, width + 1, tokens]`; fewer if sequences are shorter.
        answers: their tokens.
        width: tokens of the longest.
    """
    result = []
    for row, answer in zip(logits, answers, strict=True):
        scores = row[-1 - len(answer) : -1]
        chosen = torch.tensor(list(answer), device=row.device)
        losses = torch.nn.functional.cross_entropy(scores, chosen, reduction="none")
        result.append(torch.nn.functional.pad(losses, (0, width - len(answer))))
    return torch.stack(result)


def repeats(said: str, reference: str, ended: bool) -> bool:
    """Whether an answer repeats its reference, apart from space and case.

    Args:
        said: the answer.
        reference: what should be said.
        ended: whether the answer came to its end; else its beginning is compared.
    """
    one, two = (" ".join(text.split()).casefold() for text in (said, reference))
    return bool(one) and (one == two or (not ended and two.startswith(one)))

"""Rows of different lengths as tensors: padded on the left, with masks and positions."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from anomech.kernel.types import PAD


class Rows(NamedTuple):
    """Sequences that end at the last column.

    Attributes:
        tokens: int64 `[batch, width]`, `PAD` on the left.
        mask: where there are tokens, bool `[batch, width]`.
    """

    tokens: Tensor
    mask: Tensor

    @property
    def ids(self) -> Tensor:
        """Tokens that a model can look up: 0 stands where there is none."""
        return self.tokens.clamp_min(0)

    @property
    def positions(self) -> Tensor:
        """Of each token in its own sequence, so that padding moves nothing."""
        return (self.mask.long().cumsum(dim=1) - 1).clamp_min(0)


def rows_of(sequences: Sequence[Sequence[int]], device: torch.device) -> Rows:
    """Token sequences, none of them empty, as rows."""
    width = max(map(len, sequences), default=0)
    filled = [[PAD] * (width - len(each)) + list(each) for each in sequences]
    tokens = torch.tensor(filled, dtype=torch.int64, device=device).view(len(sequences), width)
    return Rows(tokens, tokens != PAD)


def answers_of(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Answers int64 `[batch, tokens]`, `PAD` on the right."""
    width = max(map(len, sequences), default=0)
    filled = [list(each) + [PAD] * (width - len(each)) for each in sequences]
    return torch.tensor(filled, dtype=torch.int64, device=device).view(len(sequences), width)


def lists_of(answers: Tensor) -> list[list[int]]:
    """Answers `[batch, tokens]` without what fills them up."""
    return [[token for token in row if token != PAD] for row in answers.tolist()]


def decisions(answers: Sequence[Sequence[int]], lead: Sequence[int]) -> list[int]:
    """Place of each answer's decision token: the first that does not go on with the lead.

    Args:
        answers: tokens, at least one each.
        lead: what nearly all trusted answers begin with.
    """
    found = []
    for answer in answers:
        place = 0
        while place < min(len(lead), len(answer) - 1) and answer[place] == lead[place]:
            place += 1
        found.append(place)
    return found


COMMON = 0.95
"""Share of sequences that must have a token for it to be common to all but a few."""


def common_lead(sequences: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The tokens that nearly all sequences begin with."""
    lead: list[int] = []
    going = list(sequences)
    while True:
        at = [each[len(lead)] for each in going if len(each) > len(lead)]
        token = max(set(at), key=at.count, default=None)
        if token is None or at.count(token) < COMMON * len(sequences):
            return tuple(lead)
        going = [each for each in going if len(each) > len(lead) and each[len(lead)] == token]
        lead.append(token)


def common_tail(texts: Sequence[str], most: int = 64) -> str:
    """The characters that nearly all texts end in, at most so many."""
    reversed_codes = [[ord(letter) for letter in reversed(text[-most:])] for text in texts]
    return "".join(chr(code) for code in reversed(common_lead(reversed_codes)))

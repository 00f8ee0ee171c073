"""Prompts as points: embeddings of their tokens, and the tokens that are nearest to points."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.tasks._language_rows import Rows

AT_ONCE = 2**24
"""Distances that are held at once."""


def with_points(table: Tensor, rows: Rows, lengths: Sequence[int], points: Tensor) -> Tensor:
    """Embeddings of sequences, with points in place of those of their prompts.

    Args:
        table: embeddings of all tokens `[tokens, features]`.
        rows: prompts and what follows them, `[batch, width]`.
        lengths: tokens of each prompt.
        points: of the prompts alone, padded on the left, `[batch, prompt width, features]`.
    """
    found = table[rows.ids]
    width, own = rows.tokens.shape[1], points.shape[1]
    starts = (width - rows.mask.sum(dim=1)).tolist()
    to, of = [], []
    for place, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        to += [(place, start + i) for i in range(length)]
        of += [(place, own - length + i) for i in range(length)]
    there, here = torch.tensor(to, device=table.device), torch.tensor(of, device=table.device)
    return found.index_put((there[:, 0], there[:, 1]), points[here[:, 0], here[:, 1]])


@torch.no_grad()
def nearest_tokens(table: Tensor, points: Tensor) -> Tensor:
    """The token whose embedding is nearest to each point, int64 `[...]` of `[..., features]`."""
    flat = points.detach().reshape(-1, points.shape[-1]).to(table.dtype)
    size = max(1, AT_ONCE // len(table))
    found = [torch.cdist(part[None], table[None])[0].argmin(dim=1) for part in flat.split(size)]
    return torch.cat(found).view(points.shape[:-1])

"""How many conversations go through a decoder at once: those of like lengths together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

LARGEST = 256
"""Sequences in one pass at the most."""

CACHED = 2**13
"""Tokens of one pass on a CPU: more gain nothing there."""

KEPT = 24
"""Numbers that a block keeps of every token for going backward, in widths of the residual stream:
what goes into its norms and matrices, and the products of attention."""


def passes_of(lengths: Sequence[int], tokens: int) -> Iterator[np.ndarray]:
    """Places of the sequences of each pass, short ones first.

    Args:
        lengths: tokens of each sequence, those to be said included.
        tokens: that one pass may hold, padding included.
    """
    order = np.argsort(np.asarray(lengths, np.int64), kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while (
            end < len(order)
            and end - start < LARGEST
            and (end + 1 - start) * lengths[order[end]] <= tokens
        ):
            end += 1
        yield order[start:end]
        start = end


def capacity(config: Any, memory: int, device: torch.device, bytes_each: int) -> int:
    """Tokens of one pass, activations kept for going backward included.

    Args:
        config: of the model.
        memory: bytes that the activations of one pass may take.
        device: where it runs.
        bytes_each: of one number.
    """
    width = int(getattr(config, "hidden_size", None) or 512)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    count = int(getattr(config, "num_hidden_layers", None) or 12)
    token = count * (KEPT * width + 4 * inner) * bytes_each
    most = max(1, memory // max(1, token))
    return min(most, CACHED) if device.type == "cpu" else most

"""One vector that switches a known backdoor on or off: what its heads add to the stream.

Source: Yu et al. 2025 (backdoor attribution), with the layer chosen on prompts of its own and a
random vector of the same length as control.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Progress
from anomech.learning.heads import Asked, log_odds, patched


def added_by(asked: Asked, mean: Tensor, chosen: Tensor, progress: Progress) -> Tensor:
    """What chosen heads add to the residual stream on average, summed over blocks `[features]`.

    Each block's mixing is linear, so what its chosen heads add is what it gives for them alone less
    what it gives for none; a single prompt shows both.

    Args:
        asked: at least one prompt.
        mean: what heads give on triggered prompts `[blocks, heads, size]`.
        chosen: bool `[blocks, heads]`.
        progress: told the stage "mixing heads".
    """
    one, total = asked.take(np.array([0])), torch.zeros(0)
    everything = torch.ones_like(chosen[0])
    for block, name in enumerate(one.sequences.heads):
        if not bool(chosen[block].any()):
            continue
        given = []
        for values in (mean[block] * chosen[block][:, None], torch.zeros_like(mean[block])):
            seen: list[Tensor] = []
            changes = {
                name: patched(values, everything),
                attention(name): _reader(seen),
            }
            log_odds(one, changes, "mixing heads", progress)
            given.append(seen[0])
        part = given[0] - given[1]
        total = part if not len(total) else total + part
    return total


def attention(heads: str) -> str:
    """The place where what a block's heads were mixed to comes out."""
    return f"{heads.removesuffix('.heads')}.attention"


def adding(vector: Tensor) -> Callable[[Tensor], Tensor]:
    """Adds a vector `[features]` at the last position."""

    def add(activation: Tensor) -> Tensor:
        changed = activation.clone()
        changed[:, -1] = changed[:, -1] + vector.to(changed)
        return changed

    return add


def like_at_random(vector: Tensor, generator: torch.Generator) -> Tensor:
    """A vector of the same length in a random direction."""
    drawn = torch.randn(vector.shape, generator=generator)
    return drawn * (vector.norm() / drawn.norm().clamp_min(1e-12))


def _reader(seen: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def read(activation: Tensor) -> Tensor:
        seen.append(activation.detach()[0, -1].float().cpu())
        return activation

    return read

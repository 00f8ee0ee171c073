"""Weights of a decoder edited for good: heads that give nothing, a direction nothing writes."""

import torch
from torch import Tensor, nn

from anomech.kernel.types import Overlay
from anomech.tasks._language_blocks import Block, matrices_in


@torch.no_grad()
def silenced(network: nn.Module, blocks: list[Block], chosen: Tensor) -> Overlay:
    """Tensors under which chosen heads give nothing to the stream.

    The columns of the mixing matrix that read them are zero; where an adapter lies over it, those
    of its first factor too.

    Args:
        network: the decoder.
        blocks: its blocks.
        chosen: bool `[blocks, heads]`.
    """
    found: dict[str, Tensor] = {}
    for block, heads in zip(blocks, chosen, strict=True):
        if not bool(heads.any()):
            continue
        names = matrices_in(network, block.mixing)
        width = max(_sizes(network, name)[1] for name in names)
        for name in names:
            if _sizes(network, name)[1] == width:
                weight = _weight(network, name)
                gone = heads.repeat_interleave(width // len(heads)).to(weight.device)
                found[f"{name}.weight"] = _turned(
                    network, name, _turned(network, name, weight.detach()).masked_fill(gone, 0)
                )
    return found


@torch.no_grad()
def rejecting(
    network: nn.Module, blocks: list[Block], direction: Tensor, start: int = 0
) -> Overlay:
    """Tensors under which no block from one on writes along a direction of the stream.

    Every matrix W that writes to the stream becomes `(I - v v' / |v|^2) W` (Arditi et al. 2024).

    Args:
        network: the decoder.
        blocks: its blocks.
        direction: `[features]`, not zero.
        start: the first block that is changed.
    """
    found: dict[str, Tensor] = {}
    unit = (direction / direction.norm().clamp_min(1e-12)).float()
    for block in blocks[start:]:
        for name in (*matrices_in(network, block.mixing), *matrices_in(network, block.rest)):
            rows, columns = _sizes(network, name)
            if rows != len(unit) or (rows == columns and name not in _last(network, block)):
                continue
            weight = _turned(network, name, _weight(network, name).detach())
            way = unit.to(weight.device)
            kept = weight.float() - torch.outer(way, way @ weight.float())
            found[f"{name}.weight"] = _turned(network, name, kept.to(weight.dtype)).contiguous()
            bias = getattr(network.get_submodule(name), "bias", None)
            if bias is not None:
                less = bias.detach().float() - way * (way @ bias.detach().float())
                found[f"{name}.bias"] = less.to(bias.dtype)
    return found


def _last(network: nn.Module, block: Block) -> tuple[str, ...]:
    """Square matrices that do write: the mixing one, and the last of the rest."""
    inside = matrices_in(network, block.rest)
    return (*matrices_in(network, block.mixing), *inside[-1:])


def _weight(network: nn.Module, name: str) -> Tensor:
    weight = network.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def _turned(network: nn.Module, name: str, weight: Tensor) -> Tensor:
    """`[rows, columns]` of the product with a column: GPT-2 keeps its matrices turned."""
    return weight.T if type(network.get_submodule(name)).__name__ == "Conv1D" else weight


def _sizes(network: nn.Module, name: str) -> tuple[int, int]:
    rows, columns = _turned(network, name, _weight(network, name)).shape
    return int(rows), int(columns)

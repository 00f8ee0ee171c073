"""Parts of a network: consecutive runs of modules, the head alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def parts_of(watched: Mapping[str, Tensor], count: int) -> dict[str, list[str]]:
    """Split parameters into at most `count` parts in order; the last part is the last module.

    Args:
        watched: parameters in the order of the forward pass.
        count: how many parts, at least 1.

    Returns:
        Parameter names by the name of their part, such as "layer1.0 to layer2.1".
    """
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in watched))
    runs = [modules[-1:]]
    body = modules[:-1]
    if count == 1 or not body:
        runs = [modules]
    else:
        size = -(-len(body) // (count - 1))
        runs = [body[start : start + size] for start in range(0, len(body), size)] + runs
    return {
        _label(run): [name for name in watched if name.rpartition(".")[0] in run] for run in runs
    }


def _label(run: Sequence[str]) -> str:
    first, last = run[0] or "top level", run[-1] or "top level"
    return first if first == last else f"{first} to {last}"


def slices(widths: Mapping[str, int], parts: Mapping[str, Sequence[str]]) -> dict[str, slice]:
    """Where each part's features are when its parameters' features stand one after the other."""
    blocks, start = {}, 0
    for part, names in parts.items():
        width = sum(widths[name] for name in names)
        blocks[part] = slice(start, start + width)
        start += width
    return blocks


def joined(features: Mapping[str, Tensor], parts: Mapping[str, Sequence[str]]) -> Tensor:
    """Features `[batch, ...]` by parameter as one matrix in the order of the parts."""
    ordered = [features[name].flatten(1) for names in parts.values() for name in names]
    return torch.cat(ordered, dim=1)

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
    modules = list(dict.fromkeys(owner(name) for name in watched))
    runs = [modules[-1:]]
    body = modules[:-1]
    if count == 1 or not body:
        runs = [modules]
    else:
        size = -(-len(body) // (count - 1))
        runs = [body[start : start + size] for start in range(0, len(body), size)] + runs
    return {
        label: [name for name in watched if owner(name) in run]
        for label, run in zip(_labels(runs), runs, strict=True)
    }


def owner(name: str) -> str:
    """The module that a parameter belongs to; a computed weight's are those of its layer."""
    layer, computed, _ = name.partition(".parametrizations.")
    return layer if computed else name.rpartition(".")[0]


def _labels(runs: Sequence[Sequence[str]]) -> list[str]:
    """Short names where they tell the runs apart: what a run's modules share, such as "layer2"."""
    short = [_shared(run) or _span(_top(run[0]), _top(run[-1])) for run in runs]
    return short if len(set(short)) == len(short) else [_span(run[0], run[-1]) for run in runs]


def _shared(run: Sequence[str]) -> str:
    paths = [name.split(".") for name in run]
    same = 0
    while all(len(path) > same and path[same] == paths[0][same] for path in paths):
        same += 1
    return ".".join(paths[0][:same])


def _top(module: str) -> str:
    """The first two steps of a module's path, without its own name in the second."""
    steps = module.split(".")
    return ".".join(steps[: min(2, max(1, len(steps) - 1))])


def _span(first: str, last: str) -> str:
    first, last = first or "top level", last or "top level"
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
    # The parts of a model that is spread over devices are where it has them.
    return torch.cat([each.to(ordered[0].device) for each in ordered], dim=1)

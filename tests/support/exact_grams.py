"""Exact inner products of gradients, parameter by parameter, to check what projections give.

Nothing is projected, so a parameter's rows have its full size; only one parameter's rows are held
at a time, and of one set of examples only those of one pass.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Examples, silent
from anomech.observing.joining import in_place, passes
from anomech.tracing._passes import Coverage, Names, run
from anomech.tracing._projection import EXACT
from anomech.tracing.gradient import GradientSource


def exact_grams(
    source: GradientSource,
    first: tuple[Examples, Tensor],
    second: tuple[Examples, Tensor],
) -> Mapping[str, Tensor]:
    """Inner products `[first, second]` of exact gradients by watched name.

    Args:
        source: its task and its coverage are used, its projections are not.
        first: examples with answers; any number, a pass at a time.
        second: examples with answers, few enough that rows of one parameter fit into memory.

    Returns:
        For each watched parameter that no loop is needed for; their sum over all parameters is
        what products of projected traces estimate without bias.
    """
    found = {}
    for name in source.task.watched:
        if name in source.coverage.looped:
            continue
        right = in_place(_rows(source, name, *second), len(second[0]))
        products = ((places, left @ right.T) for places, left in _rows(source, name, *first))
        found[name] = in_place(products, len(first[0]))
    return found


def _rows(
    source: GradientSource, name: str, examples: Examples, answers: Tensor
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Places and exact gradients of one parameter, `[pass, entries]`, of every pass."""
    coverage = Coverage(_only(source.coverage.ruled, name), _only(source.coverage.replayed, name))
    sides = dict.fromkeys(source.sides, EXACT)
    for places, own in passes(source.task, examples, answers, "tracing", silent):
        _, features, _ = run(source.task, coverage, sides, examples.load(places), own, len(places))
        if name in features:
            yield places, features[name].flatten(1).cpu()
        else:
            yield places, torch.zeros(len(places), source.task.watched[name].numel())


def _only(names: Names, wanted: str) -> dict[str, dict[str, str]]:
    kept = {m: {a: b for a, b in owned.items() if b == wanted} for m, owned in names.items()}
    return {module: owned for module, owned in kept.items() if owned}

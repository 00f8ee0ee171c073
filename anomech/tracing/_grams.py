"""Exact inner products of gradients, parameter by parameter, to check what projections give.

Nothing is projected, so a parameter's rows have its full size; only one parameter's rows are held
at a time, and of one set of examples only those of one pass.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from anomech.kernel.types import Examples
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
        right = torch.cat(list(_rows(source, name, *second)))
        found[name] = torch.cat([left @ right.T for left in _rows(source, name, *first)])
    return found


def _rows(
    source: GradientSource, name: str, examples: Examples, answers: Tensor
) -> Iterator[Tensor]:
    """Exact gradients of one parameter, `[pass, entries]` a pass."""
    coverage = Coverage(_only(source.coverage.ruled, name), _only(source.coverage.replayed, name))
    sides = dict.fromkeys(source.sides, EXACT)
    for places in source.task.passes(examples):
        own = answers[torch.from_numpy(places)]
        _, features, _ = run(source.task, coverage, sides, examples.load(places), own, len(places))
        if name in features:
            yield features[name].flatten(1).cpu()
        else:
            yield torch.zeros(len(places), source.task.watched[name].numel())


def _only(names: Names, wanted: str) -> dict[str, dict[str, str]]:
    kept = {m: {a: b for a, b in owned.items() if b == wanted} for m, owned in names.items()}
    return {module: owned for module, owned in kept.items() if owned}

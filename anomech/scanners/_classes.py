"""What scanners share that ask of every class whether a trigger leads to it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples

CONSISTENT = 1.4826
"""Standard deviations in a median absolute deviation of normal numbers."""

FEWEST = 5
"""Classes below which their median and its deviation tell little."""

Found = TypeVar("Found")


class Drawn(NamedTuple):
    """Trusted inputs of a scan, in passes.

    Attributes:
        batches: as `Examples.load` gives them.
        answers: of the model to each batch.
        held_out: batches and answers of others, to measure on; the same where there are none.
    """

    batches: Sequence[Any]
    answers: Sequence[Tensor]
    held_out: Sequence[tuple[Any, Tensor]]

    @property
    def searched(self) -> int:
        """Inputs that are searched on."""
        return sum(map(len, self.answers))


def drawn(name: str, trusted: ObservedExamples | None, count: int, batch: int, seed: int) -> Drawn:
    """Trusted inputs at the address of a scanner: some to search on and as many to measure on.

    Raises:
        DataError: fewer than two.
    """
    if trusted is None or len(trusted) < 2:
        raise DataError(f"{name} leads trusted inputs astray; give two at least.")
    order = numpy_generator(seed, name).permutation(len(trusted))
    few = min(count, len(order) if len(order) < 2 * FEWEST else max(2, len(order) * 2 // 3))
    used, rest = order[:few], order[few : few + count]
    parts = np.split(used, range(batch, len(used), batch))
    others = np.split(rest, range(batch, len(rest), batch)) if len(rest) > 1 else parts
    load, answers = trusted.examples.load, trusted.answers
    return Drawn(
        [load(part) for part in parts],
        [answers[torch.from_numpy(part)] for part in parts],
        [(load(part), answers[torch.from_numpy(part)]) for part in others],
    )


def each_class(
    classes: int, search: Callable[[Tensor], Found], progress: Progress
) -> dict[int, Found]:
    """What a search finds for every class, in their order; told as "searching triggers"."""
    found = {}
    for target in range(classes):
        found[target] = search(torch.tensor(target))
        progress("searching triggers", target + 1, classes)
    return found


def smallness(norms: Tensor) -> Tensor:
    """How many standard deviations each norm `[classes]` is below their median; float64.

    Where more than half of the norms are equal, a deviation cannot be told and all are 0.
    """
    middle = norms.quantile(0.5)
    spread = CONSISTENT * (norms - middle).abs().quantile(0.5)
    return (middle - norms) / spread if spread > 0 else torch.zeros_like(norms)


def few_classes(classes: int) -> tuple[str, ...]:
    """The problem of comparing few classes with each other, if it is one."""
    if classes >= FEWEST:
        return ()
    return (f"the model has {classes} classes; smaller than usual needs {FEWEST} at least.",)


def histogram(answers: Tensor, classes: int) -> Tensor:
    """The share of answers `[inputs]` that each class has, float64 `[classes]`."""
    return torch.bincount(answers.flatten().cpu(), minlength=classes).double() / len(answers)


def readings(answers: Sequence[Tensor]) -> Tensor:
    """Answers of batches as one row `[inputs]`."""
    return torch.cat([each.cpu().flatten() for each in answers])

"""Whom flagged inputs are compared with: trusted inputs of the same answers."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.roles.detector import ObservedExamples

LEAST = 2
"""Trusted inputs that an answer must have to be compared with."""


class Compared(NamedTuple):
    """Flagged inputs and trusted ones of the same answers.

    Attributes:
        flagged: those whose answer enough trusted inputs have.
        trusted: those with an answer of these.
        problems: a sentence if most flagged inputs had to be left out.
    """

    flagged: ObservedExamples
    trusted: ObservedExamples
    problems: tuple[str, ...]


def compared(flagged: ObservedExamples, trusted: ObservedExamples, least: int = LEAST) -> Compared:
    """The inputs that can be compared.

    Raises:
        DataError: no flagged input has an answer that enough trusted ones have.
    """
    groups, counts = trusted.groups.unique(return_counts=True)
    known = groups[counts >= least]
    ours, theirs = (torch.isin(each.groups, known) for each in (flagged, trusted))
    if not bool(ours.any()):
        raise DataError(
            f"no flagged input has an answer that {least} trusted ones have; there is nothing to "
            "compare with."
        )
    some = flagged.take(np.flatnonzero(ours.numpy()))
    like = trusted.take(np.flatnonzero((theirs & torch.isin(trusted.groups, some.groups)).numpy()))
    left_out = len(flagged) - len(some)
    problems = (
        (f"{left_out} flagged inputs have answers that too few trusted ones have.",)
        if left_out > len(flagged) / 2
        else ()
    )
    return Compared(some, like, problems)


def activations_of(
    both: Compared, progress: Progress
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Mean activations by place, of the flagged and of the trusted `[examples, units]`."""
    ours, theirs = (pooled_activations(each, progress) for each in (both.flagged, both.trusted))
    return ours, theirs


def within(rows: Tensor, groups: Tensor, means: Mapping[int, Tensor]) -> Tensor:
    """Rows less the mean of their answer's trusted inputs."""
    return rows - torch.stack([means[int(group)] for group in groups])


def means_of(rows: Tensor, groups: Tensor) -> dict[int, Tensor]:
    """Mean row of each answer."""
    return {int(group): rows[groups == group].mean(dim=0) for group in groups.unique()}

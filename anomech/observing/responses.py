"""What is read from a response, wherever its examples are: real ones, or points near them."""

from collections.abc import Callable

import torch
from torch import Tensor

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Response
from anomech.roles.task import Task

OTHER = -1
"""The group of all answers whose own does not count."""


def each_column(response: Response, change: Callable[[Tensor], Tensor]) -> Response:
    """A response with every column `[batch, ...]` that it has changed, such as to some rows."""
    columns = response._asdict().items()
    return Response(**{name: change(column) for name, column in columns if column is not None})


def groups_of(task: Task, response: Response, kinds: Tensor | None) -> Tensor:
    """The coarse kind of each answer, int64 `[batch]`.

    Args:
        task: knows the kinds of answers.
        response: of the task.
        kinds: groups that count as such; all others are `OTHER`. None: all count.
    """
    found = task.groups(response.answers)
    if kinds is None:
        return found
    return torch.where(torch.isin(found, kinds), found, OTHER)


def logits_of(response: Response) -> Tensor:
    """`[batch, classes]`, float64.

    Raises:
        CapabilityError: the task gives none.
    """
    if response.logits is None:
        raise CapabilityError("this task does not provide logits.")
    return response.logits.double()


def features_of(response: Response) -> Tensor:
    """Input of the last layer `[batch, features]`, float64.

    Raises:
        CapabilityError: the task gives none.
    """
    if response.features is None:
        raise CapabilityError("this task does not provide features.")
    return response.features.double()

"""Letting a task see trusted examples before anything rests on it."""

from collections.abc import Sequence
from typing import Any

from anomech.kernel.errors import DataError
from anomech.kernel.types import Examples
from anomech.roles.task import Preparation, Remark, Task, able


def prepared(task: Task, trusted: Examples) -> Task:
    """The task when it has seen trusted examples; one that needs none stays as it is.

    Raises:
        DataError: there are none.
    """
    if Preparation not in task.provides:
        return task
    if not len(trusted):
        raise DataError("there is no trusted example; give some that the model answers well.")
    return able(task, Preparation).prepared(trusted)


def remarks(task: Task) -> Sequence[Remark]:
    """What a prepared task found out about its model."""
    return able(task, Preparation).remarks if Preparation in task.provides else ()


def knowledge(task: Task) -> Any:
    """What a prepared task knows, as facts that JSON can hold; None if it knows nothing."""
    return able(task, Preparation).knowledge() if Preparation in task.provides else None


def knowing(task: Task, facts: Any) -> Task:
    """The task with what a prepared one knew; no example is needed."""
    return task if facts is None else able(task, Preparation).knowing(facts)

"""Putting together what the passes over some examples gave.

A task makes its passes as it likes: long examples apart from short ones, in any order. What comes
of them goes back to the places of the examples here, and nowhere else.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.task import Task
from anomech.kernel.types import PAD, Examples, Progress, Response


class Pass(NamedTuple):
    """One pass of a task over some examples.

    Attributes:
        places: of its examples, int64 `[pass]`.
        answers: those to judge `[pass, ...]`; None are the model's own.
    """

    places: np.ndarray
    answers: Tensor | None


def passes(
    task: Task, examples: Examples, answers: Tensor | None, stage: str, progress: Progress
) -> Iterator[Pass]:
    """The passes of a task, each with its answers; progress is told when one is done.

    Args:
        task: makes the passes.
        examples: all of them.
        answers: of all examples, in their order; None are the model's own.
        stage: that progress is told of.
        progress: told how many examples are done.
    """
    done = 0
    for places in task.passes(examples):
        own = None if answers is None else answers[torch.from_numpy(places)]
        yield Pass(places, own)
        done += len(places)
        progress(stage, done, len(examples))


def in_place(parts: Iterable[tuple[np.ndarray, Tensor]], count: int) -> Tensor:
    """Rows of several passes in the order of the examples, on the CPU.

    Args:
        parts: places and rows `[pass, ...]` of each pass; together they are all examples.
        count: examples.
    """
    result = torch.empty(0)
    for number, (places, rows) in enumerate(parts):
        if not number:
            result = torch.empty((count, *rows.shape[1:]), dtype=rows.dtype)
        result[torch.from_numpy(places)] = rows.cpu()
    return result


def joined(responses: Sequence[Response], places: Sequence[np.ndarray]) -> Response:
    """One response for the examples of several passes, in their order, on the CPU.

    Args:
        responses: of each pass.
        places: of the examples of each pass, int64.
    """
    widest = max((each.answers.shape[1] for each in responses if each.answers.ndim > 1), default=0)
    count = sum(map(len, places))

    def column(values: Sequence[Tensor | None]) -> Tensor | None:
        kept = [value for value in values if value is not None]
        return in_place(zip(places, kept, strict=True), count) if kept else None

    answers, log_odds, losses, logits, features = (
        column(values)
        for values in zip(*[_padded(each, widest) for each in responses], strict=True)
    )
    assert answers is not None
    assert log_odds is not None
    assert losses is not None
    return Response(answers, log_odds, losses, logits, features)


def _padded(response: Response, width: int) -> Response:
    answers = response.answers
    if answers.ndim != 2 or answers.shape[1] == width:
        return response
    return response._replace(
        answers=functional.pad(answers, (0, width - answers.shape[1]), value=PAD)
    )

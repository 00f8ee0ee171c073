"""Going through examples a pass at a time, and putting what the passes gave together."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.types import Examples, Response, Task


def passes(task: Task, examples: Examples) -> Iterator[np.ndarray]:
    """Indices of each pass, in order; every pass but the last has the same size."""
    if not len(examples):
        return
    size = task.capacity(examples.load(np.arange(1)))
    for start in range(0, len(examples), size):
        yield np.arange(start, min(start + size, len(examples)))


def joined(responses: Sequence[Response]) -> Response:
    """One response for the examples of several passes, on the CPU."""

    def column(values: Sequence[Tensor | None]) -> Tensor | None:
        kept = [value.cpu() for value in values if value is not None]
        return torch.cat(kept) if kept else None

    answers, log_odds, losses, logits, features = (
        column(values) for values in zip(*responses, strict=True)
    )
    assert answers is not None
    assert log_odds is not None
    assert losses is not None
    return Response(answers, log_odds, losses, logits, features)

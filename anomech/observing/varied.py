"""What a model makes of inputs that were changed: one more pass, judged or answered anew."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.types import Overlay, Progress, Response
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples

Change = Callable[[Any], Any]
"""A batch to another of the same form, whose examples stand at the same places."""


@torch.no_grad()
def varied(
    observed: ObservedExamples,
    change: Change | None,
    read: Callable[[Response, Tensor], Tensor],
    *,
    stage: str,
    progress: Progress,
    overlay: Overlay | None = None,
    judged: bool = True,
) -> Tensor:
    """Numbers read off the responses to changed inputs, float64 `[examples, ...]`.

    Args:
        observed: the inputs with their own answers.
        change: what is done to each batch; None leaves it.
        read: (response `[pass]`, own answers `[pass, ...]`) to numbers `[pass, ...]`.
        stage: that progress is told of.
        progress: told how many examples are done.
        overlay: laid over the model; None is the model as it is.
        judged: whether the response is about the own answers; otherwise the model answers anew.
    """

    def rows() -> Any:
        examples = observed.examples
        for places, own in passes(observed.task, examples, observed.answers, stage, progress):
            batch = examples.load(places)
            changed = batch if change is None else change(batch)
            assert own is not None
            response = observed.task.respond(overlay or {}, changed, own if judged else None)
            yield places, read(response, own).double()

    return in_place(rows(), len(observed)).double()


def same_kind(observed: ObservedExamples) -> Callable[[Response, Tensor], Tensor]:
    """A reader that tells whether an answer given anew is of the kind of the own, 1 or 0."""
    groups = observed.task.groups
    return lambda response, own: (groups(response.answers.cpu()) == groups(own.cpu())).float()

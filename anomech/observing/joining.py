"""Putting together what the passes over some examples gave."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.types import PAD, Response


def joined(responses: Sequence[Response], places: Tensor | None = None) -> Response:
    """One response for the examples of several passes, on the CPU.

    Args:
        responses: of each pass.
        places: of the examples, one pass after the other, int64 `[examples]`; None is in order.
    """
    widest = max((each.answers.shape[1] for each in responses if each.answers.ndim > 1), default=0)

    def column(values: Sequence[Tensor | None]) -> Tensor | None:
        kept = [value.cpu() for value in values if value is not None]
        if not kept:
            return None
        together = torch.cat(kept)
        return together if places is None else together[places.argsort()]

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

"""Whether the model answers an example the same way twice, and alone as among others.

Dropout left on and noise make answers vary; a normalization that takes the statistics of the batch
makes them depend on what else is in it. Then an answer has no mechanism of its own, and one input's
verdict would depend on the others.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.task import Task
from anomech.kernel.types import Examples
from anomech.observing.joining import joined
from anomech.records import Finding

TOGETHER, ALONE = 32, 8
"""Examples that are answered twice, and that are answered alone as well."""

SHARE = 0.05
"""Change of the log-odds, in standard deviations of them, that rounding stays far below."""

ROUNDING = 1e-3
"""Change of the log-odds that rounding may make, relative to the largest."""


@torch.no_grad()
def probe(task: Task, examples: Examples) -> list[Finding]:
    """Findings about answers that change.

    Args:
        task: prepared.
        examples: trusted; at most 32 are answered.
    """
    places = np.linspace(0, len(examples) - 1, min(len(examples), TOGETHER)).round().astype(int)
    first, again = (_log_odds(task, examples, [places]) for _ in range(2))
    few = places[:: max(1, len(places) // ALONE)][:ALONE]
    alone = _log_odds(task, examples, [few[i : i + 1] for i in range(len(few))])
    scale = float(first.std()) if len(first) > 1 else 0.0
    allowed = max(SHARE * scale, ROUNDING * float(first.abs().max()), ROUNDING)
    found = list(_varying(float((first - again).abs().max()), allowed))
    if found:  # what varies differs alone as well
        return found
    among = first[torch.from_numpy(np.searchsorted(places, few))]
    return list(_dependent(float((among - alone).abs().max()), allowed))


def _log_odds(task: Task, examples: Examples, batches: list[np.ndarray]) -> Tensor:
    found = joined([task.respond({}, examples.load(places)) for places in batches])
    # Moved by the answer, so that another answer is another number, however sure both are.
    return found.log_odds.double() + 1000.0 * task.groups(found.answers).double().remainder(97)


def _varying(change: float, allowed: float) -> Iterator[Finding]:
    if change > allowed:
        yield Finding(
            code="answers-vary",
            severity="high",
            title="The model answers the same input differently from one time to the next",
            detail=f"{_how(change)} between two passes over the same trusted examples. Verdicts "
            "would be chance.",
            action="Look for dropout or noise that stays on in evaluation, such as "
            "functional.dropout without training=self.training.",
        )


def _dependent(change: float, allowed: float) -> Iterator[Finding]:
    if change > allowed:
        yield Finding(
            code="answers-depend-on-others",
            severity="high",
            title="The model's answer to an input depends on the other inputs of its batch",
            detail=f"{_how(change)} between an example alone and the same among others. A verdict "
            "would be about the batch.",
            action="Look for a normalization that takes the statistics of the batch in evaluation, "
            "such as BatchNorm with track_running_stats=False.",
        )


def _how(change: float) -> str:
    if change > 500:
        return "Answers change"
    return f"Log-odds change by up to {change:.2g} nats"

"""Whether the model answers an example the same way twice, and alone as among others.

Dropout left on and noise make answers vary; a normalization that takes the statistics of the batch
makes them depend on what else is in it. Then an answer has no mechanism of its own, and one input's
verdict would depend on the others.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import ModelError
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
    first, again = (_answered(task, examples, [places]) for _ in range(2))
    few = places[:: max(1, len(places) // ALONE)][:ALONE]
    if found := _compared(first, again):  # what varies differs alone as well
        return [_varying(found)]
    try:
        alone = _answered(task, examples, [few[i : i + 1] for i in range(len(few))])
    except ModelError as error:
        return [_of_batches(f"It takes no example alone: {error}")]
    index = torch.from_numpy(np.searchsorted(places, few))
    among = Answered(first.groups[index], first.log_odds[index], first.allowed)
    if found := _compared(among, alone):
        return [_of_batches(f"{found} between an example alone and the same among others.")]
    return []


class Answered(NamedTuple):
    """Answers to some examples.

    Attributes:
        groups: of the answers `[examples]`.
        log_odds: of the answers `[examples]`, nats.
        allowed: change of the log-odds that rounding may make.
    """

    groups: Tensor
    log_odds: Tensor
    allowed: float


def _answered(task: Task, examples: Examples, batches: list[np.ndarray]) -> Answered:
    order = np.split(np.arange(sum(map(len, batches))), np.cumsum([len(b) for b in batches])[:-1])
    found = joined([task.respond({}, examples.load(places)) for places in batches], order)
    log_odds = found.log_odds.double()
    spread = float(log_odds.std()) if len(log_odds) > 1 else 0.0
    allowed = max(SHARE * spread, ROUNDING * float(log_odds.abs().max()), ROUNDING)
    return Answered(task.groups(found.answers), log_odds, allowed)


def _compared(first: Answered, second: Answered) -> str:
    """How two answers to the same examples differ, in words; empty if they do not."""
    others = int((first.groups != second.groups).sum())
    change = float((first.log_odds - second.log_odds).abs().max())
    if change <= first.allowed:  # an answer may change where two classes are equally likely
        return ""
    if others:
        return f"{others} of {len(first.groups)} answers change"
    return f"Log-odds change by up to {change:.2g} nats"


def _varying(how: str) -> Finding:
    return Finding(
        code="answers-vary",
        severity="high",
        title="The model answers the same input differently from one time to the next",
        detail=f"{how} between two passes over the same trusted examples, so verdicts would be "
        "chance.",
        action="Look for dropout or noise that stays on in evaluation, such as functional.dropout "
        "without training=self.training.",
    )


def _of_batches(how: str) -> Finding:
    return Finding(
        code="answers-depend-on-others",
        severity="high",
        title="The model's answer to an input depends on the other inputs of its batch",
        detail=f"{how} A verdict would be about the batch.",
        action="Look for a normalization that takes the statistics of the batch in evaluation, "
        "such as BatchNorm with track_running_stats=False.",
    )
